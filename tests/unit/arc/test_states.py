"""One row for each state that a job can be in, and what podrunner's word changes in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from interlink_arc import states
from interlink_arc.states import ArcJob
from interlink_common.batchsystem.reports import CurrentRun, EarlierRuns, Runs
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container
from interlink_common.podrunner.exitcodes import NO_RUNTIME
from tests.unit.arc.pods import a_pod

POD = a_pod(Container("main", "busybox:1.36"), Container("side", "busybox:1.36"))
URL = "https://one.test/arex/123"
ALIVE = PodReport((ContainerReport("main", Running(1.0)), ContainerReport("side", Terminated(0, "Completed", "", 1.0, 2.0))))
DONE = PodReport((ContainerReport("main", Terminated(0)), ContainerReport("side", Terminated(0))), finished=True)


def said(state: str, current: CurrentRun | None = None, earlier: EarlierRuns | None = None, **known: Any) -> PodReport:
    return states.report(POD, ArcJob(URL, state, **known), Runs(current or CurrentRun(), earlier or EarlierRuns()))


def waits(report: PodReport) -> tuple[str, str]:
    assert not report.finished
    [entry] = {(entry.state.reason, entry.state.message) for entry in report.containers if isinstance(entry.state, Waiting)}
    return entry


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        ("ACCEPTING", "Queued", "is being accepted"),
        ("ACCEPTED", "Queued", "is accepted"),
        ("PREPARING", "Queued", "waits for its files"),
        ("PREPARED", "Queued", "has its files and waits to be submitted"),
        ("SUBMITTING", "Queued", "is handed to the batch system"),
        ("QUEUING", "Queued", "waits in the queue of the batch system"),
        ("RUNNING", "ContainerCreating", "starts"),
        ("HELD", "JobHeld", "is held by its batch system"),
        ("EXITINGLRMS", "ContainerCreating", "leaves the batch system"),
        ("OTHER", "ContainerCreating", "is in a state of its batch system that ARC does not name"),
        ("EXECUTED", "ContainerCreating", "has ended, and its output is collected"),
        ("FINISHING", "ContainerCreating", "has ended, and its output is collected"),
        ("KILLING", "ContainerCreating", "is being killed"),
        ("BRANDNEW", "Unknown", "is in the unknown state BRANDNEW"),
    ],
)
def test_what_waits(state: str, reason: str, words: str) -> None:
    assert waits(said(state)) == (reason, f"job {URL} {words}")


@pytest.mark.parametrize("state", ["RUNNING", "EXITINGLRMS", "OTHER", "EXECUTED", "FINISHING", "KILLING", "BRANDNEW"])
def test_podrunners_report_counts_as_long_as_the_job_is_not_over(state: str) -> None:
    assert said(state, CurrentRun(ALIVE)) == ALIVE
    assert said(state, CurrentRun(replace(DONE, finished=False))) == replace(DONE, finished=False)


@pytest.mark.parametrize(
    ("state", "known", "reason", "code", "words"),
    [
        ("FINISHED", {}, "JobFailed", 137, f"job {URL} ended, and podrunner reported nothing of the containers"),
        ("KILLED", {}, "JobKilled", 137, f"job {URL} was killed"),
        ("WIPED", {}, "JobWiped", 137, f"job {URL} was removed by its computing element before its result was known"),
        ("FAILED", {}, "JobFailed", 137, f"job {URL} failed: the computing element gives no reason"),
        ("FAILED", {"failure": "Job is canceled by external request"}, "JobKilled", 137, "Job is canceled by external request"),
        ("FAILED", {"failure": "LRMS error: (271) job killed: walltime"}, "DeadlineExceeded", 137, "job killed: walltime"),
        ("FAILED", {"failure": "LRMS error: (1) Memory limit exceeded"}, "OOMKilled", 137, "Memory limit exceeded"),
        ("FAILED", {"failure": "Failed in files upload"}, "JobOutputFailed", 137, "Failed in files upload"),
        ("FAILED", {"failure": "User has not uploaded input"}, "JobInputFailed", 137, "has not uploaded input"),
        (
            "FAILED",
            {"failure": "Job submission to LRMS failed", "environments": ("ENV/A", "ENV/B")},
            "JobNotSubmitted",
            137,
            "it requested the runtime environments ENV/A, ENV/B",
        ),
        ("FAILED", {"failure": "LRMS error: (9)", "exit_code": 9}, "JobFailed", 9, "LRMS error: (9)"),
        ("FAILED", {"exit_code": NO_RUNTIME}, "JobFailed", NO_RUNTIME, "the worker node has none of the configured container runtimes"),
        ("FAILED", {"current": CurrentRun(cause="no Python here")}, "JobFailed", 137, "no Python here"),
        ("FINISHED", {"current": CurrentRun(cause="no Python here")}, "JobFailed", 137, "no Python here"),
    ],
)
def test_what_has_failed(state: str, known: dict[str, Any], reason: str, code: int, words: str) -> None:
    report = said(state, **known)
    assert report.finished
    for entry in report.containers:
        assert isinstance(entry.state, Terminated)
        assert (entry.state.reason, entry.state.exit_code) == (reason, code)
        assert words in entry.state.message


def test_what_had_ended_by_itself_stays_and_earlier_runs_are_restarts() -> None:
    earlier = EarlierRuns({"main": 2}, {"main": Terminated(137, "Evicted", "why", 1.0)})
    report = said("FAILED", CurrentRun(ALIVE), earlier=earlier)
    main, side = report.containers
    assert side.state == ALIVE.containers[1].state
    assert (main.restart_count, main.last_state) == (2, earlier.last["main"])
    assert isinstance(main.state, Terminated)
    assert main.state.started_at == 1.0


def test_success_is_only_podrunners_to_tell() -> None:
    """Somebody ended the job between the containers' end and podrunner's word on it."""
    report = said("FAILED", CurrentRun(replace(DONE, finished=False)), failure="Job is canceled by external request")
    assert {entry.state.exit_code for entry in report.containers if isinstance(entry.state, Terminated)} == {137}
