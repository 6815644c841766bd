"""How a job's end is told: its exit code, and the cause of a stop."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from interlink_common.agent.agent import NodeAgent
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated
from interlink_common.model.workload import Workload
from interlink_common.podrunner import exitcodes
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.sinks import Sink
from interlink_common.podrunner.supervisor import JobTermination


def ended(name: str, code: int, finished_at: float = 1.0) -> ContainerReport:
    return ContainerReport(name, Terminated(code, "Error" if code else "Completed", finished_at=finished_at))


@pytest.mark.parametrize(
    ("containers", "code"),
    [
        ((ended("a", 0), ended("b", 0)), 0),
        ((ended("a", 4, 2.0), ended("b", 9, 1.0)), 9),
        ((ended("a", 255),), 239),
        ((ended("a", -1),), 1),
        ((), 0),
    ],
)
def test_exit_codes(containers: tuple[ContainerReport, ...], code: int) -> None:
    assert exitcodes.of_report(PodReport(containers)) == code


def test_every_own_code_has_a_meaning() -> None:
    own = {value for name, value in vars(exitcodes).items() if name.isupper() and isinstance(value, int)}
    assert own == set(exitcodes.MEANINGS)
    assert min(own) >= exitcodes.BAD_BUNDLE


def test_the_cause_of_a_stop_is_in_every_container_that_ended_by_it() -> None:
    stop = JobTermination(cast(NodeAgent, None), Workload("u", "n", "ns", ()), RunnerConfig(), cast(Sink, None), Path())
    before = PodReport((ended("early", 0, 5.0), ended("obeyed", 0, 15.0), ended("failed", 7, 15.0), ContainerReport("on", Running(1.0))))
    assert stop.with_cause(before) == before
    stop.cause, stop.since = "why", 10.0
    states = [entry.state for entry in stop.with_cause(before).containers]
    assert states == [
        Terminated(0, "Completed", finished_at=5.0),
        Terminated(143, "Error", "why", finished_at=15.0),
        Terminated(7, "Error", "why", finished_at=15.0),
        Running(1.0),
    ]
