"""What is said of a pod: from its job's state in the queue and what podrunner told. Pure, through one table.

Codes: HTCondor manual, "Job ClassAd Attributes".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from interlink_common.batchsystem.story import LOST_EXIT_CODE, Knowledge, as_told, failed, waiting
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.podrunner.exitcodes import MEANINGS
from interlink_htcondor.ads import COMPLETED, HELD, IDLE, REMOVED, RUNNING, SUSPENDED, TRANSFERRING_OUTPUT, JobAd

HOLD_CODES: Mapping[int, str] = {
    1: "held by hand",
    3: "held by a policy of the job",
    6: "the worker node could not start the job",
    12: "its output could not be transferred",
    13: "its input could not be transferred",
    15: "submitted on hold",
    21: "held by the worker node's policy",
    26: "held by the schedd's policy",
    34: "it used more memory than it asked for",
    35: "its container could not be run",
    46: "it ran longer than the allowed time",
    47: "it ran longer than the allowed time",
    48: "removed from the worker node by its policy",
    102: "it used more disk than it asked for",
    104: "it used more disk than it asked for",
}
"""HoldReasonCode, in words; others are told by their number alone."""
BY_HAND, OUT_OF_MEMORY, TOO_LONG = 1, 34, (46, 47)
NEVER_RELEASED = frozenset({BY_HAND, 15, 16})
"""Holds that somebody meant."""
FINAL_HOLDS: Mapping[int, str] = {OUT_OF_MEMORY: "OOMKilled", 46: "DeadlineExceeded", 47: "DeadlineExceeded"}
"""Holds that end the pod whatever the policy: what was asked for was used up."""


@dataclass(frozen=True)
class QueueKnowledge(Knowledge):
    """All there is to know of a pod. `fails_held`: the policy on holds has given up. `ahead`: jobs of ours before it; None: not counted."""

    fails_held: bool = False
    ahead: int | None = None
    unmatched: str = ""


def report(pod: Workload, job: JobAd, known: QueueKnowledge) -> PodReport:
    """The pod's state while its job is in the queue."""
    if ended := as_told(known, finished=True):
        return ended
    say = TABLE.get(job.status)
    if say is None:
        return waiting(pod, known, "Unknown", f"HTCondor tells the unknown state {job.status}")
    return say(pod, job, known)


def idle(pod: Workload, job: JobAd, known: QueueKnowledge) -> PodReport:
    if job.text("InterLinkOnEviction") == "fail" and job.number("NumShadowStarts") > 0:
        return failed(pod, known, "Evicted", evicted(job))
    parts = [f"job {job.id} waits in the queue"]
    if known.ahead is not None:
        parts.append(f"{known.ahead} of this node’s jobs ahead")
    if job.number("NumShadowStarts") > 0:
        parts.append(f"it runs again because {evicted(job)}")
    if known.unmatched:
        parts.append(known.unmatched)
    return waiting(pod, known, "Queued", ", ".join(parts))


def evicted(job: JobAd) -> str:
    where = host(job.text("LastRemoteHost")) or "its worker node"
    reason = job.text("VacateReason")
    return f"it was evicted from {where}" + (f": {reason}" if reason else "")


def running(pod: Workload, job: JobAd, known: QueueKnowledge) -> PodReport:
    if told := as_told(known, finished=False):
        return told
    where = host(job.text("RemoteHost")) or "a worker node"
    what = "sends its files to" if job.fields.get("TransferringInput") is True else "starts on"
    return waiting(pod, known, "ContainerCreating", f"job {job.id} {what} {where}")


def held(pod: Workload, job: JobAd, known: QueueKnowledge) -> PodReport:
    if job.is_half_submitted:
        return waiting(pod, known, "Queued", f"the files of job {job.id} are on the way to the schedd")
    code, subcode = job.number("HoldReasonCode"), job.number("HoldReasonSubCode")
    words = HOLD_CODES.get(code, "held")
    message = f"job {job.id} is held: {words} (code {code}, subcode {subcode}): {job.text('HoldReason')}"
    if code in FINAL_HOLDS:
        return failed(pod, known, FINAL_HOLDS[code], message)
    if known.fails_held:
        return failed(pod, known, "JobHeld", message)
    return waiting(pod, known, "JobHeld", message)


def suspended(pod: Workload, job: JobAd, known: QueueKnowledge) -> PodReport:
    where = host(job.text("RemoteHost")) or "its worker node"
    return waiting(pod, known, "Suspended", f"job {job.id} is suspended on {where}")


def removed(pod: Workload, job: JobAd, known: QueueKnowledge) -> PodReport:
    return failed(pod, known, "JobRemoved", f"job {job.id} was removed: {job.text('RemoveReason') or 'no reason is told'}")


def completed(pod: Workload, job: JobAd, known: QueueKnowledge) -> PodReport:
    """A job that ended without a last word of podrunner; with it, `report` has answered already."""
    if job.fields.get("ExitBySignal") is True:
        number = job.number("ExitSignal")
        return failed(pod, known, "JobFailed", f"job {job.id} was ended by signal {number}", 128 + number)
    code = job.number("ExitCode")
    meaning = MEANINGS.get(code, "it told nothing of the containers")
    return failed(pod, known, "JobFailed", known.told.cause or f"job {job.id} ended with code {code}: {meaning}", code or LOST_EXIT_CODE)


def gone(pod: Workload, known: QueueKnowledge, jid: str, history: Mapping[str, object] | None) -> PodReport:
    """The pod's state when its job is no longer in the queue, and not by us. `history`: its last ad, if there is one."""
    if ended := as_told(known, finished=True):
        return ended
    if history is None:
        return failed(pod, known, "JobLost", f"job {jid} is no longer in the queue, and nothing tells why")
    job = JobAd(jid, pod.uid, int(str(history.get("JobStatus", REMOVED))), dict(history))
    return (completed if job.status == COMPLETED else removed)(pod, job, known)


TABLE: Mapping[int, Callable[[Workload, JobAd, QueueKnowledge], PodReport]] = {
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
