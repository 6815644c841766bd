"""What is reported of a pod: by its job's state in the queue and what podrunner reported. Pure, through one table.

Codes: HTCondor manual, "Job ClassAd Attributes".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from interlink_common.batchsystem.reports import LOST_EXIT_CODE, Runs, failed, reported, unknown, waiting
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.podrunner.exitcodes import MEANINGS
from interlink_htcondor.ads import COMPLETED, HELD, IDLE, REMOVED, RUNNING, SUSPENDED, TRANSFERRING_OUTPUT, JobAd
from interlink_htcondor.settings import HoldSettings

HOLD_CODES: Mapping[int, str] = {
    1: "held by hand",
    3: "held by a policy of the job",
    6: "the worker node could not start the job",
    12: "its output could not be transferred",
    13: "its input could not be transferred",
    15: "submitted on hold",
    21: "held by the worker node's policy",
    26: "held by the schedd's policy",
    34: "it used more memory than it requested",
    35: "its container could not be run",
    46: "it ran longer than the allowed time",
    47: "it ran longer than the allowed time",
    48: "removed from the worker node by its policy",
    102: "it used more disk than it requested",
    104: "it used more disk than it requested",
}
"""HoldReasonCode, in words; of others, a message has the number alone."""
BY_HAND, OUT_OF_MEMORY, TOO_LONG = 1, 34, (46, 47)
NEVER_RELEASED = frozenset({BY_HAND, 15, 16})
"""Holds that somebody meant."""
FINAL_HOLDS: Mapping[int, str] = {OUT_OF_MEMORY: "OOMKilled", 46: "DeadlineExceeded", 47: "DeadlineExceeded"}
"""Holds that end the pod whatever the policy: what was asked for was used up."""


def report(workload: Workload, job: JobAd, runs: Runs) -> PodReport:
    """The pod's state while its job is in the queue, and podrunner has reported no end."""
    say = TABLE.get(job.status)
    return unknown(workload, job, runs, str(job.status)) if say is None else say(workload, job, runs)


def fails_held(job: JobAd, holds: HoldSettings) -> bool:
    """Whether the policy gives a held job up."""
    if job.status != HELD or job.number("HoldReasonCode") in NEVER_RELEASED:
        return False
    return holds.policy == "fail" or (holds.policy == "release" and job.number("NumHolds") > holds.releases)


def is_due_for_release(job: JobAd, holds: HoldSettings) -> bool:
    if job.status != HELD or holds.policy != "release" or fails_held(job, holds):
        return False
    code = job.number("HoldReasonCode")
    if code in NEVER_RELEASED or code in FINAL_HOLDS:
        return False
    if job.number("CurrentHosts"):  # released before its shadow has left, a job stays idle for good
        return False
    pause = holds.release_after_seconds * 2 ** max(job.number("NumHolds") - 1, 0)
    return bool(job.number("ServerTime") - job.number("EnteredCurrentStatus") >= pause)


def count_ahead(jobs: Iterable[JobAd]) -> dict[str, int]:
    """How many idle jobs of ours are before each, as the schedd orders those of one owner: priority, then age."""
    waiting = [job for job in jobs if job.status == IDLE]
    waiting.sort(key=lambda job: (-job.number("JobPrio"), job.number("QDate"), job.number("ClusterId"), job.number("ProcId")))
    return {job.jid: position for position, job in enumerate(waiting)}


def why_unmatched(job: JobAd, slots: Sequence[Mapping[str, Any]]) -> str:
    """ "" or why no slot takes the job: more of something than any slot has, else the negotiator's own words."""
    if job.status != IDLE:
        return ""
    for request, total, words in (
        ("RequestCpus", "TotalSlotCpus", "cpus"),
        ("RequestMemory", "TotalSlotMemory", "MiB of memory"),
        ("RequestGPUs", "TotalSlotGPUs", "GPUs"),
    ):
        largest = max((int(slot.get(total, 0)) for slot in slots), default=None)
        if largest is not None and job.number(request) > largest:
            return f"no slot of the pool has {job.number(request)} {words}, the largest has {largest}"
    return job.text("LastRejMatchReason").strip()


def idle(workload: Workload, job: JobAd, runs: Runs) -> PodReport:
    if job.text("InterLinkOnEviction") == "fail" and job.number("NumShadowStarts") > 0:
        return failed(workload, runs, "Evicted", evicted(job))
    parts = [f"job {job.jid} waits in the queue"]
    if job.ahead is not None:
        parts.append(f"{job.ahead} of this node’s jobs ahead")
    if job.number("NumShadowStarts") > 0:
        parts.append(f"it runs again: {evicted(job)}")
    if job.unmatched:
        parts.append(job.unmatched)
    return waiting(workload, runs, "Queued", ", ".join(parts))


def evicted(job: JobAd) -> str:
    where = host(job.text("LastRemoteHost")) or "its worker node"
    reason = job.text("VacateReason")
    return f"it was evicted from {where}" + (f": {reason}" if reason else "")


def running(workload: Workload, job: JobAd, runs: Runs) -> PodReport:
    if report := reported(runs, finished=False):
        return report
    where = host(job.text("RemoteHost")) or "a worker node"
    what = "sends its files to" if job.fields.get("TransferringInput") is True else "starts on"
    return waiting(workload, runs, "ContainerCreating", f"job {job.jid} {what} {where}")


def held(workload: Workload, job: JobAd, runs: Runs) -> PodReport:
    if job.is_half_submitted:
        return waiting(workload, runs, "Queued", f"the files of job {job.jid} are on the way to the schedd")
    code, subcode = job.number("HoldReasonCode"), job.number("HoldReasonSubCode")
    words = HOLD_CODES.get(code, "held")
    message = f"job {job.jid} is held: {words} (code {code}, subcode {subcode}): {job.text('HoldReason')}"
    if code in FINAL_HOLDS:
        return failed(workload, runs, FINAL_HOLDS[code], message)
    if job.fails_held:
        return failed(workload, runs, "JobHeld", message)
    return waiting(workload, runs, "JobHeld", message)


def suspended(workload: Workload, job: JobAd, runs: Runs) -> PodReport:
    where = host(job.text("RemoteHost")) or "its worker node"
    return waiting(workload, runs, "Suspended", f"job {job.jid} is suspended on {where}")


def removed(workload: Workload, job: JobAd, runs: Runs) -> PodReport:
    return failed(workload, runs, "JobRemoved", f"job {job.jid} was removed: {job.text('RemoveReason') or 'no reason is given'}")


def completed(workload: Workload, job: JobAd, runs: Runs) -> PodReport:
    """A job that ended without a last word of podrunner; with it, `report` has answered already."""
    if job.fields.get("ExitBySignal") is True:
        number = job.number("ExitSignal")
        return failed(workload, runs, "JobFailed", f"job {job.jid} was ended by signal {number}", 128 + number)
    code = job.number("ExitCode")
    meaning = MEANINGS.get(code, "podrunner reported nothing of the containers")
    return failed(
        workload, runs, "JobFailed", runs.current.cause or f"job {job.jid} ended with code {code}: {meaning}", code or LOST_EXIT_CODE
    )


def gone(workload: Workload, jid: str, last: JobAd | None, runs: Runs) -> PodReport:
    """The pod's state when its job is no longer in the queue, and not by us. `last`: its last ad, if there is one."""
    if last is None:
        return failed(workload, runs, "JobLost", f"job {jid} is no longer in the queue, and no reason is known")
    return (completed if last.status == COMPLETED else removed)(workload, last, runs)


TABLE: Mapping[int, Callable[[Workload, JobAd, Runs], PodReport]] = {
    IDLE: idle,
    RUNNING: running,
    REMOVED: removed,
    COMPLETED: completed,
    HELD: held,
    TRANSFERRING_OUTPUT: running,
    SUSPENDED: suspended,
}


def host(slot: str) -> str:
    """The node of "slot1_2@node.example.org"."""
    return slot.rpartition("@")[2]
