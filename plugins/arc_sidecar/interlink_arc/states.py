"""What is reported of a pod: by its job's state at the computing element and what podrunner reported. Pure, through one table.

Source of the states: NorduGrid ARC documentation, "ARC REST interface specification", Job states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from interlink_common.batchsystem.jobs import Phase
from interlink_common.batchsystem.reports import LOST_EXIT_CODE, Runs, failed, runs_on, unknown, waits
from interlink_common.contract.answers import sentence
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.podrunner.exitcodes import MEANINGS

PREPARING, RUNNING, FINISHED, FAILED, KILLED, WIPED = "PREPARING", "RUNNING", "FINISHED", "FAILED", "KILLED", "WIPED"
ENDED = frozenset({FINISHED, FAILED, KILLED, WIPED})
WAITS_FOR_FILES = frozenset({"ACCEPTING", "ACCEPTED", PREPARING})
"""States in which a job may still wait for its files, without which it never starts."""
STREAMS = frozenset({RUNNING, "HELD", "EXITINGLRMS", "OTHER", "EXECUTED", "FINISHING", "KILLING"})
"""States of a job that is not over in which there may be something to read of podrunner's."""

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
class ArcJob:
    """A job. `failure`, `exit_code`: what the computing element tells of its end, and of podrunner's, where it was asked for that.

    `environments`: the runtime environments that the job asked for, for the message if the site lacks one.
    """

    jid: str
    state: str
    failure: str = ""
    exit_code: int | None = None
    environments: tuple[str, ...] = ()

    @property
    def phase(self) -> Phase:
        if self.state in ENDED:
            return Phase.ENDED
        return Phase.RUNNING if self.state in STREAMS else Phase.WAITING


def report(workload: Workload, job: ArcJob, runs: Runs) -> PodReport:
    """The pod's state while podrunner has reported no end."""
    say = TABLE.get(job.state)
    return unknown(workload, job, runs, job.state) if say is None else say(workload, job, runs)


def _failed(workload: Workload, job: ArcJob, runs: Runs) -> PodReport:
    """A job that ended without a last word of podrunner."""
    words = sentence(job.failure) or "the computing element gives no reason"
    if runs.current.cause and runs.current.report is None:
        return failed(workload, runs, "JobFailed", runs.current.cause)
    reason = next((reason for sign, reason in CAUSES if sign in job.failure.lower()), "JobFailed")
    if reason == "JobNotSubmitted" and job.environments:
        words += f"; it requested the runtime environments {', '.join(job.environments)}"
    code = job.exit_code or LOST_EXIT_CODE
    if job.exit_code in MEANINGS:
        words += f"; {MEANINGS[job.exit_code]}"
    return failed(workload, runs, reason, f"job {job.jid} failed: {words}", code)


def _finished(workload: Workload, job: ArcJob, runs: Runs) -> PodReport:
    """A job that succeeded, so its computing element says: but without podrunner's word, its pod did not."""
    if runs.current.cause and runs.current.report is None:
        return failed(workload, runs, "JobFailed", runs.current.cause)
    return failed(workload, runs, "JobFailed", f"job {job.jid} ended, and podrunner reported nothing of the containers")


def _killed(workload: Workload, job: ArcJob, runs: Runs) -> PodReport:
    return failed(workload, runs, "JobKilled", f"job {job.jid} was killed")


def _wiped(workload: Workload, job: ArcJob, runs: Runs) -> PodReport:
    return failed(workload, runs, "JobWiped", f"job {job.jid} was removed by its computing element before its result was known")


TABLE: Mapping[str, Callable[[Workload, ArcJob, Runs], PodReport]] = {
    "ACCEPTING": waits("Queued", "is being accepted"),
    "ACCEPTED": waits("Queued", "is accepted"),
    PREPARING: waits("Queued", "waits for its files"),
    "PREPARED": waits("Queued", "has its files and waits to be submitted"),
    "SUBMITTING": waits("Queued", "is handed to the batch system"),
    "QUEUING": waits("Queued", "waits in the queue of the batch system"),
    RUNNING: runs_on("starts"),
    "HELD": waits("JobHeld", "is held by its batch system"),
    "EXITINGLRMS": runs_on("leaves the batch system"),
    "OTHER": runs_on("is in a state of its batch system that ARC does not name"),
    "EXECUTED": runs_on("has ended, and its output is collected"),
    "FINISHING": runs_on("has ended, and its output is collected"),
    FINISHED: _finished,
    FAILED: _failed,
    "KILLING": runs_on("is being killed"),
    KILLED: _killed,
    WIPED: _wiped,
}
ASKED_FOR = tuple(TABLE)
"""All states of ARC that have a name here."""
