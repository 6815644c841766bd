"""Jobs as squeue(1) shows them, and what is reported of their pods while podrunner says nothing. Pure, through one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from interlink_common.batchsystem.jobs import Phase
from interlink_common.batchsystem.reports import Runs, failed, runs_on, unknown, waiting, waits
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.translation.names import SAFE_UID

JOB_NAME_PREFIX = "interlink-"
FORMAT = "%i|%T|%r|%N|%j|%k"
"""Of squeue: id, state, reason, nodes, name, comment; the last may hold the separator."""
HELD = frozenset({"JobHeldAdmin", "JobHeldUser"})


@dataclass(frozen=True)
class SlurmJob:
    """One line of squeue. The comment is the instance of the plugin."""

    number: str
    state: str
    reason: str
    nodes: str
    name: str
    comment: str

    @property
    def phase(self) -> Phase:
        """A state that has no name here may be one in which podrunner runs, and is no end."""
        return TABLE[self.state][0] if self.state in TABLE else Phase.RUNNING

    @property
    def uid(self) -> str:
        """The pod's."""
        return self.name.removeprefix(JOB_NAME_PREFIX)

    @property
    def jid(self) -> str:
        return jid_of(self.number, self.uid)


def jid_of(number: str, uid: str) -> str:
    """A controller that crashed may have forgotten its newest jobs, and gives their numbers to others: so the pod's UID is in the JID."""
    return f"{number}/{uid}"


def parse(lines: str, instance: str) -> list[SlurmJob]:
    """The jobs of this plugin among those that squeue shows."""
    rows = [line.split("|", FORMAT.count("|")) for line in lines.splitlines()]
    jobs = [SlurmJob(*row) for row in rows if len(row) == FORMAT.count("|") + 1]
    return [job for job in jobs if job.comment == instance and job.name.startswith(JOB_NAME_PREFIX) and SAFE_UID.fullmatch(job.uid)]


def report(workload: Workload, jid: str, job: SlurmJob | None, runs: Runs) -> PodReport:
    """The pod's state while podrunner has not told its end. `job`: as last seen, None if Slurm does not know it any more."""
    if job is None:
        return failed(workload, runs, "JobLost", f"Slurm does not know job {jid} any more, and podrunner did not tell its end")
    if job.state not in TABLE:
        return unknown(workload, job, runs, job.state)
    return TABLE[job.state][1](workload, job, runs)


def _pending(workload: Workload, job: SlurmJob, runs: Runs) -> PodReport:
    reason = "JobHeld" if job.reason in HELD else "Queued"
    return waiting(workload, runs, reason, f"job {job.jid} waits in the queue ({job.reason})")


def _ended(reason: str, words: str) -> Callable[[Workload, SlurmJob, Runs], PodReport]:
    """For a job that ended without podrunner's last word."""

    def report(workload: Workload, job: SlurmJob, runs: Runs) -> PodReport:
        if runs.current.cause and runs.current.report is None:  # podrunner could not start the pod
            return failed(workload, runs, reason, runs.current.cause)
        where = f" on {job.nodes}" if job.nodes else ""
        return failed(workload, runs, reason, f"job {job.jid} {words}{where} ({job.reason})")

    return report


TABLE: Mapping[str, tuple[Phase, Callable[[Workload, SlurmJob, Runs], PodReport]]] = {
    "PENDING": (Phase.WAITING, _pending),
    "CONFIGURING": (Phase.WAITING, waits("Queued", "has its node, which is being made ready")),
    "RUNNING": (Phase.RUNNING, runs_on("starts")),
    "SUSPENDED": (Phase.RUNNING, waits("Suspended", "is suspended")),
    "STOPPED": (Phase.RUNNING, waits("Suspended", "is stopped by a signal")),
    "SIGNALING": (Phase.RUNNING, runs_on("is being signalled")),
    "COMPLETING": (Phase.RUNNING, runs_on("is ending")),
    "STAGE_OUT": (Phase.RUNNING, runs_on("has ended, and its output is moved")),
    "COMPLETED": (Phase.ENDED, _ended("JobFailed", "ended, and told nothing of the containers")),
    "FAILED": (Phase.ENDED, _ended("JobFailed", "failed")),
    "BOOT_FAIL": (Phase.ENDED, _ended("NodeLost", "could not start, because its node did not boot")),
    "NODE_FAIL": (Phase.ENDED, _ended("NodeLost", "was lost with its node")),
    "TIMEOUT": (Phase.ENDED, _ended("DeadlineExceeded", "ran longer than its time limit")),
    "DEADLINE": (Phase.ENDED, _ended("DeadlineExceeded", "did not end by its deadline")),
    "OUT_OF_MEMORY": (Phase.ENDED, _ended("OOMKilled", "used more memory than it asked for")),
    "PREEMPTED": (Phase.ENDED, _ended("Evicted", "had to make way for another job")),
    "CANCELLED": (Phase.ENDED, _ended("JobCancelled", "was cancelled")),
    "REVOKED": (Phase.ENDED, _ended("JobCancelled", "was revoked, because another cluster of the federation runs it")),
}
