"""What is reported of a pod whose job, and not podrunner, says something: it waits, it has failed, or it runs again. Pure.

A job that is gone, held or evicted says nothing of the containers by itself. So their last known states stay where they are final, and
everything else waits, or has failed with the batch system's own reason. A plugin's `states.py` is a table from the batch system's states
to the functions that `waits` and `runs_on` return, or to its own of the same shape; a state that is not in it is `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from interlink_common.batchsystem.jobs import JobRow
from interlink_common.contract.answers import sentence
from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container, Workload

LOST_EXIT_CODE = 137
"""As of a container that was killed: what ran when the job ended is gone."""


@dataclass(frozen=True)
class EarlierRuns:
    """Runs of the pod's job that are over: how often each container was started in them, and how it last ended."""

    attempts: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, Terminated] = field(default_factory=dict)


@dataclass(frozen=True)
class CurrentRun:
    """What podrunner reported in the newest run. `ended`: its last word, and the end was the pod's own, not the batch system's doing.

    `cause`: why podrunner was stopped, or could not start the pod.
    """

    report: PodReport | None = None
    ended: bool = False
    cause: str = ""


@dataclass(frozen=True)
class Runs:
    """What podrunner has reported of a pod in all runs of its job."""

    current: CurrentRun = field(default_factory=CurrentRun)
    earlier: EarlierRuns = field(default_factory=EarlierRuns)


def waits(reason: str, words: str) -> Callable[[Workload, JobRow, Runs], PodReport]:
    """For a state in which no container runs: "job ID `words`"."""
    return lambda workload, job, runs: waiting(workload, runs, reason, f"job {job.jid} {words}")


def runs_on(words: str) -> Callable[[Workload, JobRow, Runs], PodReport]:
    """For a state in which the job runs: as podrunner reports; until it does, the containers are being created."""

    def report(workload: Workload, job: JobRow, runs: Runs) -> PodReport:
        return reported(runs, finished=False) or waiting(workload, runs, "ContainerCreating", f"job {job.jid} {words}")

    return report


def unknown(workload: Workload, job: JobRow, runs: Runs, state: str) -> PodReport:
    """For a state that is in no table, of a newer release perhaps: never an end."""
    words = f"job {job.jid} is in the unknown state {sentence(state)}"
    return reported(runs, finished=False) or waiting(workload, runs, "Unknown", words)


def reported(runs: Runs, *, finished: bool) -> PodReport | None:
    """podrunner's own report, if there is one. `finished`: only its last one, which ends the pod."""
    if runs.current.report is None or (finished and not runs.current.ended):
        return None
    return with_earlier_runs(replace(runs.current.report, finished=finished), runs.earlier)


def waiting(workload: Workload, runs: Runs, reason: str, message: str) -> PodReport:
    """Every container waits, whatever it did in an earlier run: between two runs nothing is terminated."""
    return with_earlier_runs(_all(workload, lambda _: Waiting(reason, message)), runs.earlier)


def failed(workload: Workload, runs: Runs, reason: str, message: str, code: int = LOST_EXIT_CODE) -> PodReport:
    """The pod has failed. What a container had come to by itself in the last run stays."""
    ended = Terminated(code or LOST_EXIT_CODE, reason, message)

    def explained(state: Terminated) -> Terminated:
        """With the batch system's own reason, where podrunner knew only that it was stopped."""
        knows_more = bool(state.message) and not (runs.current.cause and state.message.startswith(runs.current.cause))
        return state if knows_more or state.exit_code == 0 else replace(state, message=message)

    def state(container: Container) -> ContainerState:
        entry = _entry(runs.current.report, container.name)
        if entry is None:
            return ended
        if isinstance(entry.state, Terminated):
            return explained(entry.state)
        started = entry.state.started_at if isinstance(entry.state, Running) else None
        return replace(ended, started_at=started)

    report = _all(workload, state)
    if all(isinstance(c.state, Terminated) and c.state.exit_code == 0 for c in report.containers):
        # Somebody ended the job between the containers' end and podrunner's report of it: the pod is not known to have succeeded.
        report = replace(report, containers=tuple(replace(c, state=ended) for c in report.containers))
    return with_earlier_runs(replace(report, finished=True), runs.earlier)


def after_run(earlier: EarlierRuns, report: PodReport | None, why: str) -> EarlierRuns:
    """All runs so far, when one is over that did not end the pod. `report`: the last of that run."""
    if report is None:
        return earlier
    attempts, last = dict(earlier.attempts), dict(earlier.last)
    for entry in (*report.init_containers, *report.containers):
        if not has_started(entry):
            continue
        attempts[entry.name] = attempts.get(entry.name, 0) + entry.restart_count + 1
        if isinstance(entry.state, Terminated) and entry.state.exit_code == 0:
            last[entry.name] = entry.state
        else:
            begun = entry.state.started_at if isinstance(entry.state, (Running, Terminated)) else None
            last[entry.name] = Terminated(LOST_EXIT_CODE, "Evicted", why, begun)
    return EarlierRuns(attempts, last)


def has_started(entry: ContainerReport) -> bool:
    """Whether a container ran at all; one that never did is Terminated too when its pod has failed."""
    if isinstance(entry.state, Terminated) and entry.state.started_at is not None:
        return True
    return isinstance(entry.state, Running) or entry.last_state is not None


def is_waiting(report: PodReport | None, container: str) -> bool:
    """Whether the container has not started, or is between two attempts."""
    entry = _entry(report, container)
    return entry is not None and isinstance(entry.state, Waiting)


def has_ended(report: PodReport, container: str, attempt: int) -> bool:
    """Whether an attempt of a container is over."""
    entry = _entry(report, container)
    return entry is not None and (attempt < entry.restart_count or isinstance(entry.state, Terminated))


def with_earlier_runs(report: PodReport, earlier: EarlierRuns) -> PodReport:
    """Earlier runs count as restarts."""

    def counted(entry: ContainerReport) -> ContainerReport:
        count = entry.restart_count + earlier.attempts.get(entry.name, 0)
        return replace(entry, restart_count=count, last_state=entry.last_state or earlier.last.get(entry.name))

    return replace(report, containers=tuple(map(counted, report.containers)), init_containers=tuple(map(counted, report.init_containers)))


def _entry(report: PodReport | None, name: str) -> ContainerReport | None:
    entries = (*report.init_containers, *report.containers) if report is not None else ()
    return next((entry for entry in entries if entry.name == name), None)


def _all(workload: Workload, state: Callable[[Container], ContainerState]) -> PodReport:
    def entry(container: Container) -> ContainerReport:
        return ContainerReport(container.name, state(container), image=container.image)

    return PodReport(tuple(map(entry, workload.containers)), tuple(map(entry, workload.init_containers)))
