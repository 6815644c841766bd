"""What is said of a pod: from its job's state in the queue and what podrunner told. Pure, through one table.

A job that is gone, held, or evicted says nothing of the containers by itself, so their last known states are kept where they are
final, and everything else waits or has failed with the batch system's own reason. Codes: HTCondor manual, "Job ClassAd Attributes".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from interlink_common.lifecycle.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting
from interlink_common.podrunner.exitcodes import MEANINGS
from interlink_common.workload.model import Container, Workload
from interlink_htcondor.ads import COMPLETED, HELD, IDLE, REMOVED, RUNNING, SUSPENDED, TRANSFERRING_OUTPUT, JobAd

LOST_EXIT_CODE = 137
"""As of a container that was killed: what ran when the job ended is gone."""

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
class Story:
    """Earlier runs of the pod: how often each container was started in them, and how it last ended."""

    attempts: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, Terminated] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What podrunner told in its last run. `ended`: it told its end, which was the pod's own and not the batch system's doing."""

    report: PodReport | None = None
    ended: bool = False
    cause: str = ""


@dataclass(frozen=True)
class Knowledge:
    """All there is to know of a pod. `fails_held`: the policy on holds has given up. `ahead`: jobs of ours before it; None: not counted."""

    told: Told = Told()
    story: Story = Story()
    fails_held: bool = False
    ahead: int | None = None
    unmatched: str = ""


def report(pod: Workload, job: JobAd, known: Knowledge) -> PodReport:
    """The pod's state while its job is in the queue."""
    if known.told.ended and known.told.report is not None:
        return with_story(replace(known.told.report, finished=True), known.story)
    say = TABLE.get(job.status)
    if say is None:
        return waiting(pod, known, "Unknown", f"HTCondor tells the unknown state {job.status}")
    return say(pod, job, known)


def idle(pod: Workload, job: JobAd, known: Knowledge) -> PodReport:
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


def running(pod: Workload, job: JobAd, known: Knowledge) -> PodReport:
    if known.told.report is not None:
        return with_story(replace(known.told.report, finished=False), known.story)
    where = host(job.text("RemoteHost")) or "a worker node"
    what = "sends its files to" if job.fields.get("TransferringInput") is True else "starts on"
    return waiting(pod, known, "ContainerCreating", f"job {job.id} {what} {where}")


def held(pod: Workload, job: JobAd, known: Knowledge) -> PodReport:
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


def suspended(pod: Workload, job: JobAd, known: Knowledge) -> PodReport:
    where = host(job.text("RemoteHost")) or "its worker node"
    return waiting(pod, known, "Suspended", f"job {job.id} is suspended on {where}")


def removed(pod: Workload, job: JobAd, known: Knowledge) -> PodReport:
    return failed(pod, known, "JobRemoved", f"job {job.id} was removed: {job.text('RemoveReason') or 'no reason is told'}")


def completed(pod: Workload, job: JobAd, known: Knowledge) -> PodReport:
    """A job that ended without a last word of podrunner; with it, `report` has answered already."""
    if job.fields.get("ExitBySignal") is True:
        number = job.number("ExitSignal")
        return failed(pod, known, "JobFailed", f"job {job.id} was ended by signal {number}", 128 + number)
    code = job.number("ExitCode")
    meaning = MEANINGS.get(code, "it told nothing of the containers")
    return failed(pod, known, "JobFailed", known.told.cause or f"job {job.id} ended with code {code}: {meaning}", code or LOST_EXIT_CODE)


def gone(pod: Workload, known: Knowledge, jid: str, history: Mapping[str, object] | None) -> PodReport:
    """The pod's state when its job is no longer in the queue, and not by us. `history`: its last ad, if there is one."""
    if known.told.ended and known.told.report is not None:
        return with_story(replace(known.told.report, finished=True), known.story)
    if history is None:
        return failed(pod, known, "JobLost", f"job {jid} is no longer in the queue, and nothing tells why")
    job = JobAd(jid, pod.uid, int(str(history.get("JobStatus", REMOVED))), dict(history))
    return (completed if job.status == COMPLETED else removed)(pod, job, known)


TABLE: Mapping[int, Callable[[Workload, JobAd, Knowledge], PodReport]] = {
    IDLE: idle,
    RUNNING: running,
    REMOVED: removed,
    COMPLETED: completed,
    HELD: held,
    TRANSFERRING_OUTPUT: running,
    SUSPENDED: suspended,
}


def waiting(pod: Workload, known: Knowledge, reason: str, message: str) -> PodReport:
    """Every container waits, whatever it did in an earlier run: between two runs nothing is terminated."""
    return with_story(_all(pod, lambda _: Waiting(reason, message)), known.story)


def failed(pod: Workload, known: Knowledge, reason: str, message: str, code: int = LOST_EXIT_CODE) -> PodReport:
    """The pod has failed. What a container had come to by itself in the last run stays."""
    ended = Terminated(code or LOST_EXIT_CODE, reason, message)

    def explained(state: Terminated) -> Terminated:
        """With the batch system's own reason, where podrunner knew only that it was stopped."""
        knows_more = bool(state.message) and not (known.told.cause and state.message.startswith(known.told.cause))
        return state if knows_more or state.exit_code == 0 else replace(state, message=message)

    def state(container: Container) -> ContainerState:
        entry = _entry(known.told.report, container.name)
        if entry is None:
            return ended
        if isinstance(entry.state, Terminated):
            return explained(entry.state)
        started = entry.state.started_at if isinstance(entry.state, Running) else None
        return replace(ended, started_at=started)

    made = _all(pod, state)
    if all(isinstance(c.state, Terminated) and c.state.exit_code == 0 for c in made.containers):
        # Somebody ended the job between the containers' end and podrunner's word on it: the pod is not known to have succeeded.
        made = replace(made, containers=tuple(replace(c, state=ended) for c in made.containers))
    return with_story(replace(made, finished=True), known.story)


def after_run(story: Story, told: PodReport | None, why: str) -> Story:
    """The story when a run is over that did not end the pod."""
    if told is None:
        return story
    attempts, last = dict(story.attempts), dict(story.last)
    for entry in (*told.init_containers, *told.containers):
        if not has_started(entry):
            continue
        attempts[entry.name] = attempts.get(entry.name, 0) + entry.restart_count + 1
        if isinstance(entry.state, Terminated) and entry.state.exit_code == 0:
            last[entry.name] = entry.state
        else:
            begun = entry.state.started_at if isinstance(entry.state, (Running, Terminated)) else None
            last[entry.name] = Terminated(LOST_EXIT_CODE, "Evicted", why, begun)
    return Story(attempts, last)


def has_started(entry: ContainerReport) -> bool:
    """Whether a container ran at all; one that never did is Terminated too when its pod has failed."""
    if isinstance(entry.state, Terminated) and entry.state.started_at is not None:
        return True
    return isinstance(entry.state, Running) or entry.last_state is not None


def with_story(made: PodReport, story: Story) -> PodReport:
    """Earlier runs count as restarts."""

    def told(entry: ContainerReport) -> ContainerReport:
        count = entry.restart_count + story.attempts.get(entry.name, 0)
        return replace(entry, restart_count=count, last_state=entry.last_state or story.last.get(entry.name))

    return replace(made, containers=tuple(map(told, made.containers)), init_containers=tuple(map(told, made.init_containers)))


def host(slot: str) -> str:
    """The node of "slot1_2@node.example.org"."""
    return slot.rpartition("@")[2]


def _entry(told: PodReport | None, name: str) -> ContainerReport | None:
    entries = (*told.init_containers, *told.containers) if told is not None else ()
    return next((entry for entry in entries if entry.name == name), None)


def _all(pod: Workload, state: Callable[[Container], ContainerState]) -> PodReport:
    def made(container: Container) -> ContainerReport:
        return ContainerReport(container.name, state(container), image=container.image)

    return PodReport(tuple(map(made, pod.containers)), tuple(map(made, pod.init_containers)))
