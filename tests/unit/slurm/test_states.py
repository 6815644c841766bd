"""One row for each state of a job, what podrunner's report changes in it, and which lines of squeue are ours."""

from __future__ import annotations

import pytest

from interlink_common.batchsystem.jobs import Phase
from interlink_common.batchsystem.reports import CurrentRun, Runs
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container, Workload
from interlink_slurm.states import SlurmJob, parse, report

POD = Workload("u1", "name", "space", (Container("main", "busybox"),))
ALIVE = PodReport((ContainerReport("main", Running(1.0)),))


def job(state: str, reason: str = "None", nodes: str = "n1") -> SlurmJob:
    return SlurmJob("7", state, reason, nodes, "interlink-u1", "here")


@pytest.mark.parametrize(
    ("shown", "phase", "reason", "message"),
    [
        (job("PENDING", "Priority"), Phase.WAITING, "Queued", "job 7/u1 waits in the queue (Priority)"),
        (job("PENDING", "JobHeldUser"), Phase.WAITING, "JobHeld", "job 7/u1 waits in the queue (JobHeldUser)"),
        (job("CONFIGURING"), Phase.WAITING, "Queued", "job 7/u1 has its node, which is being made ready"),
        (job("RUNNING"), Phase.RUNNING, "ContainerCreating", "job 7/u1 starts"),
        (job("SUSPENDED"), Phase.RUNNING, "Suspended", "job 7/u1 is suspended"),
        (job("STOPPED"), Phase.RUNNING, "Suspended", "job 7/u1 is stopped by a signal"),
        (job("SIGNALING"), Phase.RUNNING, "ContainerCreating", "job 7/u1 is being signalled"),
        (job("COMPLETING"), Phase.RUNNING, "ContainerCreating", "job 7/u1 is ending"),
        (job("STAGE_OUT"), Phase.RUNNING, "ContainerCreating", "job 7/u1 has ended, and its output is moved"),
        (job("BRANDNEW"), Phase.RUNNING, "Unknown", "job 7/u1 is in the unknown state BRANDNEW"),
    ],
)
def test_jobs_that_have_not_ended(shown: SlurmJob, phase: Phase, reason: str, message: str) -> None:
    waiting = PodReport((ContainerReport("main", Waiting(reason, message), image="busybox"),))
    assert (shown.phase, report(POD, "7/u1", shown, Runs())) == (phase, waiting)


@pytest.mark.parametrize("state", ["RUNNING", "SIGNALING", "COMPLETING", "STAGE_OUT", "BRANDNEW"])
def test_podrunners_report_counts_while_the_job_runs(state: str) -> None:
    assert report(POD, "7/u1", job(state), Runs(CurrentRun(ALIVE))) == ALIVE


@pytest.mark.parametrize(
    ("shown", "reason", "message"),
    [
        (job("COMPLETED"), "JobFailed", "job 7/u1 ended, and told nothing of the containers on n1 (None)"),
        (job("FAILED", "NonZeroExitCode"), "JobFailed", "job 7/u1 failed on n1 (NonZeroExitCode)"),
        (job("BOOT_FAIL"), "NodeLost", "job 7/u1 could not start, because its node did not boot on n1 (None)"),
        (job("NODE_FAIL", "NodeDown"), "NodeLost", "job 7/u1 was lost with its node on n1 (NodeDown)"),
        (job("TIMEOUT", "TimeLimit"), "DeadlineExceeded", "job 7/u1 ran longer than its time limit on n1 (TimeLimit)"),
        (job("DEADLINE"), "DeadlineExceeded", "job 7/u1 did not end by its deadline on n1 (None)"),
        (job("OUT_OF_MEMORY"), "OOMKilled", "job 7/u1 used more memory than it asked for on n1 (None)"),
        (job("PREEMPTED"), "Evicted", "job 7/u1 had to make way for another job on n1 (None)"),
        (job("CANCELLED", nodes=""), "JobCancelled", "job 7/u1 was cancelled (None)"),
        (job("REVOKED", nodes=""), "JobCancelled", "job 7/u1 was revoked, because another cluster of the federation runs it (None)"),
        (None, "JobLost", "Slurm does not know job 7/u1 any more, and podrunner did not tell its end"),
    ],
)
def test_jobs_that_ended_without_podrunners_word(shown: SlurmJob | None, reason: str, message: str) -> None:
    assert shown is None or shown.phase is Phase.ENDED
    ended = PodReport((ContainerReport("main", Terminated(137, reason, message), image="busybox"),), finished=True)
    assert report(POD, "7/u1", shown, Runs()) == ended


def test_why_podrunner_did_not_start_the_pod() -> None:
    found = report(POD, "7/u1", job("FAILED", "NonZeroExitCode"), Runs(CurrentRun(cause="no runtime")))
    assert found.containers[0].state == Terminated(137, "JobFailed", "no runtime")


def test_only_our_own_jobs() -> None:
    ours = SlurmJob("1", "RUNNING", "None", "n1", "interlink-u1", "here")
    lines = ["1|RUNNING|None|n1|interlink-u1|here", "2|RUNNING|None|n1|interlink-u2|elsewhere", "3|RUNNING|None|n1|u3|here"]
    lines += ["4|PENDING|None||interlink-../u4|here", "a line of a comment", "5|PENDING|None||interlink-u5|here|"]
    assert parse("\n".join(lines), "here") == [ours]
