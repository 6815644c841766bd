"""The table: what is reported of a pod for each state of its job, and for each code of a hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from interlink_common.batchsystem.reports import CurrentRun, EarlierRuns, Runs, after_run
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container
from interlink_htcondor import states
from interlink_htcondor.ads import COMPLETED, HELD, IDLE, REMOVED, RUNNING, SUSPENDED, TRANSFERRING_OUTPUT, JobAd
from interlink_htcondor.states import HOLD_CODES
from tests.unit.htcondor.pods import a_pod

POD = a_pod(Container("main", "busybox:1.36"), Container("other", "busybox:1.36"))
ALIVE = PodReport((ContainerReport("main", Running(5.0), ready=True), ContainerReport("other", Terminated(0, "Completed", started_at=1.0))))
DONE = PodReport((ContainerReport("main", Terminated(3, "Error")), ContainerReport("other", Terminated(0, "Completed"))), finished=True)


def job(status: int, **fields: Any) -> JobAd:
    return JobAd("7.1", POD.uid, status, fields)


def said(made: PodReport) -> tuple[Any, bool]:
    """The first container's state, and whether the pod has ended."""
    return made.containers[0].state, made.finished


WAITING = [
    (job(IDLE), Waiting("Queued", "job 7.1 waits in the queue")),
    (replace(job(IDLE), ahead=2), Waiting("Queued", "job 7.1 waits in the queue, 2 of this node’s jobs ahead")),
    (
        replace(job(IDLE), unmatched="no slot of the pool has 64 cpus, the largest has 8"),
        Waiting("Queued", "job 7.1 waits in the queue, no slot of the pool has 64 cpus, the largest has 8"),
    ),
    (
        job(IDLE, NumShadowStarts=1, LastRemoteHost="slot1_1@node7", VacateReason="claim preempted"),
        Waiting("Queued", "job 7.1 waits in the queue, it runs again: it was evicted from node7: claim preempted"),
    ),
    (job(RUNNING, RemoteHost="slot1@node7"), Waiting("ContainerCreating", "job 7.1 starts on node7")),
    (
        job(RUNNING, RemoteHost="slot1@node7", TransferringInput=True),
        Waiting("ContainerCreating", "job 7.1 sends its files to node7"),
    ),
    (job(SUSPENDED, RemoteHost="slot1@node7"), Waiting("Suspended", "job 7.1 is suspended on node7")),
    (job(HELD, HoldReasonCode=16), Waiting("Queued", "the files of job 7.1 are on the way to the schedd")),
    (
        job(HELD, HoldReasonCode=13, HoldReasonSubCode=2, HoldReason="no such file"),
        Waiting("JobHeld", "job 7.1 is held: its input could not be transferred (code 13, subcode 2): no such file"),
    ),
    (job(HELD, HoldReasonCode=999), Waiting("JobHeld", "job 7.1 is held: held (code 999, subcode 0): ")),
    (job(99), Waiting("Unknown", "job 7.1 is in the unknown state 99")),
]


@pytest.mark.parametrize(("ad", "expected"), WAITING)
def test_what_waits(ad: JobAd, expected: Waiting) -> None:
    made = states.report(POD, ad, Runs())
    assert [entry.state for entry in made.containers] == [expected, expected]
    assert not made.finished


@pytest.mark.parametrize("status", [RUNNING, TRANSFERRING_OUTPUT])
def test_what_runs_is_what_podrunner_tells_and_is_not_over_before_its_last_word(status: int) -> None:
    assert states.report(POD, job(status), Runs(CurrentRun(ALIVE))) == ALIVE
    assert said(states.report(POD, job(status), Runs(CurrentRun(DONE)))) == (Terminated(3, "Error"), False)


FAILED = [
    (job(REMOVED, RemoveReason="by admin"), Terminated(137, "JobRemoved", "job 7.1 was removed: by admin", 5.0)),
    (job(REMOVED), Terminated(137, "JobRemoved", "job 7.1 was removed: no reason is given", 5.0)),
    (
        job(COMPLETED, ExitCode=0),
        Terminated(137, "JobFailed", "job 7.1 ended with code 0: podrunner reported nothing of the containers", 5.0),
    ),
    (job(COMPLETED, ExitCode=244), Terminated(244, "JobFailed", "job 7.1 ended with code 244: podrunner failed", 5.0)),
    (job(COMPLETED, ExitBySignal=True, ExitSignal=9), Terminated(137, "JobFailed", "job 7.1 was ended by signal 9", 5.0)),
    (
        job(HELD, HoldReasonCode=34, HoldReason="over 64 MB"),
        Terminated(137, "OOMKilled", "job 7.1 is held: it used more memory than it requested (code 34, subcode 0): over 64 MB", 5.0),
    ),
    (
        job(HELD, HoldReasonCode=47),
        Terminated(137, "DeadlineExceeded", "job 7.1 is held: it ran longer than the allowed time (code 47, subcode 0): ", 5.0),
    ),
    (
        job(IDLE, NumShadowStarts=1, InterLinkOnEviction="fail"),
        Terminated(137, "Evicted", "it was evicted from its worker node", 5.0),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("ad", "expected"), FAILED)
def test_what_has_failed_keeps_what_had_ended_by_itself(ad: JobAd, expected: Terminated) -> None:
    made = states.report(POD, ad, Runs(CurrentRun(ALIVE)))
    assert [entry.state for entry in made.containers] == [expected, Terminated(0, "Completed", started_at=1.0)]
    assert made.finished


def test_nothing_that_podrunner_did_not_end_is_a_success() -> None:
    """Somebody ends the job between the containers' end and podrunner's word on it."""
    zero = PodReport(tuple(ContainerReport(name, Terminated(0)) for name in ("main", "other")), finished=True)
    for ad, _ in FAILED:
        made = states.report(POD, ad, Runs(CurrentRun(zero)))
        assert all(isinstance(entry.state, Terminated) and entry.state.exit_code for entry in made.containers)
    for last in (None, job(REMOVED), job(COMPLETED, ExitCode=0)):
        made = states.gone(POD, "7.1", last, Runs(CurrentRun(zero)))
        assert all(isinstance(entry.state, Terminated) and entry.state.exit_code for entry in made.containers)


@pytest.mark.parametrize(
    ("last", "reason", "message"),
    [
        (None, "JobLost", "job 7.1 is no longer in the queue, and no reason is known"),
        (job(REMOVED, RemoveReason="by hand"), "JobRemoved", "job 7.1 was removed: by hand"),
        (job(COMPLETED, ExitCode=5), "JobFailed", "job 7.1 ended with code 5: podrunner reported nothing of the containers"),
    ],
)
def test_a_job_that_left_the_queue(last: JobAd | None, reason: str, message: str) -> None:
    state, finished = said(states.gone(POD, "7.1", last, Runs()))
    assert (state.reason, state.message, finished) == (reason, message, True)


@pytest.mark.parametrize("code", HOLD_CODES)
def test_a_hold_fails_the_pod_only_where_it_is_final_or_the_policy_gives_up(code: int) -> None:
    ad = job(HELD, HoldReasonCode=code, HoldReason="why")
    assert states.report(POD, ad, Runs()).finished == (code in states.FINAL_HOLDS)
    assert states.report(POD, replace(ad, fails_held=True), Runs()).finished


def test_runs_that_were_evicted_count_as_restarts() -> None:
    earlier = after_run(EarlierRuns(), ALIVE, "it was evicted from node7")
    earlier = after_run(earlier, ALIVE, "it was evicted from node8")
    made = states.report(POD, job(RUNNING), Runs(CurrentRun(ALIVE), earlier))
    assert [entry.restart_count for entry in made.containers] == [2, 2]
    assert made.containers[0].last_state == Terminated(137, "Evicted", "it was evicted from node8", 5.0)
    assert made.containers[1].last_state == Terminated(0, "Completed", started_at=1.0)
    assert after_run(earlier, None, "") is earlier
    waiting = PodReport((ContainerReport("main", Waiting("ContainerCreating")),))
    assert after_run(EarlierRuns(), waiting, "") == EarlierRuns()
