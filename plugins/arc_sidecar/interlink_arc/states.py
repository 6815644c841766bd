"""What is said of a pod: from its job's state at the computing element and what podrunner told. Pure, through one table.

Source of the states: NorduGrid ARC documentation, "ARC REST interface specification", Job states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from interlink_common.batchsystem.story import LOST_EXIT_CODE, Knowledge, as_told, failed, waiting
from interlink_common.contract.sentences import sentence
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.podrunner.exitcodes import MEANINGS

UNSEEN, GONE = "unseen", ""
"""Our own words for a job that nobody has asked for yet, and for one that the computing element has no more."""
RUNNING, FINISHED, FAILED, KILLED, WIPED = "RUNNING", "FINISHED", "FAILED", "KILLED", "WIPED"
ENDED = frozenset({FINISHED, FAILED, KILLED, WIPED, GONE})
WAITS_FOR_FILES = frozenset({"ACCEPTING", "ACCEPTED", "PREPARING"})
"""States in which a job may still wait for its files, without which it never starts."""
STREAMS = frozenset({RUNNING, "HELD", "EXITINGLRMS", "OTHER", "EXECUTED", "FINISHING", "KILLING", FINISHED, FAILED, KILLED})
"""States in which there may be something to read of podrunner's."""

CAUSES: tuple[tuple[str, str], ...] = (
    ("canceled by external request", "JobKilled"),
    ("submission to lrms failed", "JobNotSubmitted"),
    ("walltime", "DeadlineExceeded"),
    ("wall time", "DeadlineExceeded"),
    ("time limit", "DeadlineExceeded"),
    ("cputime", "DeadlineExceeded"),
    ("cpu time", "DeadlineExceeded"),
    ("memory", "OOMKilled"),
    ("input", "JobInputFailed"),
    ("preparation", "JobInputFailed"),
    ("upload", "JobOutputFailed"),
)
"""Words of a failure, as A-REX and its back-ends write them, and the reason that goes with them; the first that is found counts."""


@dataclass(frozen=True)
class JobKnowledge(Knowledge):
    """All there is to know of a pod.

    `failure`: what the computing element tells of the job's failure; `exit_code`: of podrunner, if anybody tells. `is_read`: the whole
    stream is here. `environments`: the runtime environments that the job asks for.
    """

    failure: str = ""
    exit_code: int | None = None
    is_read: bool = False
    environments: tuple[str, ...] = ()


def report(pod: Workload, url: str, state: str, known: JobKnowledge) -> PodReport | None:
    """The pod's state; None while nothing new is to be said: the job was not seen yet, or has ended and what it left is not read."""
    if ended := as_told(known, finished=True):
        return ended
    if state == UNSEEN or (state in ENDED and state != GONE and not known.is_read):
        return None
    say = TABLE.get(state)
    if say is None:
        return as_told(known, finished=False) or waiting(pod, known, "Unknown", f"job {url} is in the unknown state {sentence(state)}")
    return say(pod, url, known)


def _waits(reason: str, words: str) -> Callable[[Workload, str, JobKnowledge], PodReport]:
    return lambda pod, url, known: waiting(pod, known, reason, f"job {url} {words}")


def _runs(words: str) -> Callable[[Workload, str, JobKnowledge], PodReport]:
    """As podrunner told; until it has, the containers are being created."""

    def say(pod: Workload, url: str, known: JobKnowledge) -> PodReport:
        return as_told(known, finished=False) or waiting(pod, known, "ContainerCreating", f"job {url} {words}")

    return say


def _held(pod: Workload, url: str, known: JobKnowledge) -> PodReport:
    return waiting(pod, known, "JobHeld", f"job {url} is held by its batch system")


def _failed(pod: Workload, url: str, known: JobKnowledge) -> PodReport:
    """A job that ended without a last word of podrunner."""
    words = sentence(known.failure) or "the computing element does not tell why"
    if known.told.cause and known.told.report is None:
        return failed(pod, known, "JobFailed", known.told.cause)
    reason = next((reason for sign, reason in CAUSES if sign in known.failure.lower()), "JobFailed")
    if reason == "JobNotSubmitted" and known.environments:
        words += f"; it asked for the runtime environments {', '.join(known.environments)}"
    code = known.exit_code or LOST_EXIT_CODE
    if known.exit_code in MEANINGS:
        words += f"; {MEANINGS[known.exit_code]}"
    return failed(pod, known, reason, f"job {url} failed: {words}", code)


def _finished(pod: Workload, url: str, known: JobKnowledge) -> PodReport:
    """A job that succeeded, so its computing element says: but without podrunner's word, its pod did not."""
    if known.told.cause and known.told.report is None:
        return failed(pod, known, "JobFailed", known.told.cause)
    return failed(pod, known, "JobFailed", f"job {url} ended, and told nothing of the containers")


def _killed(pod: Workload, url: str, known: JobKnowledge) -> PodReport:
    return failed(pod, known, "JobKilled", f"job {url} was killed")


def _wiped(pod: Workload, url: str, known: JobKnowledge) -> PodReport:
    return failed(pod, known, "JobWiped", f"job {url} was wiped by its computing element before it was known how it ended")


TABLE: Mapping[str, Callable[[Workload, str, JobKnowledge], PodReport]] = {
    "ACCEPTING": _waits("Queued", "is being accepted"),
    "ACCEPTED": _waits("Queued", "is accepted"),
    "PREPARING": _waits("Queued", "waits for its files"),
    "PREPARED": _waits("Queued", "has its files, and waits for its turn"),
    "SUBMITTING": _waits("Queued", "is handed to the batch system"),
    "QUEUING": _waits("Queued", "waits in the queue of the batch system"),
    RUNNING: _runs("starts"),
    "HELD": _held,
    "EXITINGLRMS": _runs("leaves the batch system"),
    "OTHER": _runs("is in a state of its batch system that has no name"),
    "EXECUTED": _runs("has ended, and its output is collected"),
    "FINISHING": _runs("has ended, and its output is collected"),
    FINISHED: _finished,
    FAILED: _failed,
    "KILLING": _runs("is being killed"),
    KILLED: _killed,
    WIPED: _wiped,
    GONE: _wiped,
}
ASKED_FOR = tuple(state for state in TABLE if state != GONE)
"""All states of ARC that have a name here."""
