"""The lifecycle table on a worker node, through start.sh and the stream: bare processes, apptainer without privileges, and podman."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from interlink_common.podrunner.events import Event, ReportChanged
from interlink_common.testing.lifecycle_cases import CASES, LifecycleCase, shortfalls
from tests.live.podrunner.worker import Job, Node, entry

REAL = [case for case in CASES if not case.fake_only]


def has_started(container: str) -> Callable[[list[Event]], bool]:
    return lambda events: any(isinstance(event, ReportChanged) and entry(event.report, container).started for event in events)


@pytest.mark.parametrize("case", REAL, ids=[case.name for case in REAL])
def test_case(case: LifecycleCase, node: Node, image: str, start: Callable[..., Job]) -> None:
    """A deletion reaches a job as SIGTERM of the batch system."""
    job = start(node, case.with_image(image).pod)
    if case.delete_when:
        job.until(has_started(case.delete_when))
        job.terminate()
    job.end()
    assert shortfalls(case, job.reports()) == []
