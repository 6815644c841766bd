"""What a computing element is asked for, and what is concluded from its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlink_arc.backend import ArcBackend
from interlink_arc.client import Slice
from interlink_arc.sites import ArcPod
from interlink_arc.states import TABLE
from interlink_common.batchsystem.jobs import Phase
from interlink_common.errors import BackendUnavailable
from interlink_common.model.report import PodReport, Terminated
from interlink_common.podrunner.events import LogLine, encode
from tests.unit.arc.pods import a_pod, settings

URL = "https://one.test/arex"
STREAM = encode(LogLine("main", 0, "stdout", 1, b"once"))


class Scripted:
    """An element with one job: `jobs` is what it tells of them, `failure` why one failed, or an error."""

    def __init__(self, pod: ArcPod, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: dict[str, str] = {}
        self.failure: str | BackendUnavailable = ""
        for name in ("states", "ids", "read", "info", "diagnose"):
            monkeypatch.setattr(pod.site.element, name, getattr(self, name))

    async def states(self, wanted: object) -> dict[str, str]:
        return {job: state for job, state in self.jobs.items() if state in TABLE}

    async def ids(self) -> list[str]:
        return list(self.jobs)

    async def read(self, job: str, name: str, offset: int, most_bytes: int) -> Slice:
        return Slice(STREAM[offset:], True)

    async def info(self, ids: object) -> dict[str, dict[str, Any]]:
        return {"1": {"ExitCode": "9", "Error": ["one", "two"]}}

    async def diagnose(self, job: str, item: str) -> str | None:
        if isinstance(self.failure, BackendUnavailable):
            raise self.failure
        return self.failure or None


@pytest.fixture
async def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[ArcBackend, ArcPod, Scripted]]:
    backend = ArcBackend(settings(state_dir=tmp_path, ces={"one": {"url": URL}}))
    pod = backend._take_on(a_pod(), f"{URL}/1")
    pod.since = 0.0
    yield backend, pod, Scripted(pod, monkeypatch)
    await backend.close()


async def test_a_job_is_gone_only_when_it_is_missed_twice_in_a_row(followed: tuple[ArcBackend, ArcPod, Scripted]) -> None:
    backend, pod, element = followed
    seen = []
    for jobs in ({"1": "RUNNING"}, {}, {"1": "RUNNING"}, {"1": "BRANDNEW"}, {}, {}):
        element.jobs = jobs
        await backend.follower.look()
        seen.append("" if pod.row is None else pod.row.state)
    assert seen == ["RUNNING", "RUNNING", "RUNNING", "unknown", "unknown", ""]
    assert pod.phase is Phase.GONE


async def test_a_site_that_does_not_answer_leaves_its_own_pods_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = {"one": {"url": URL}, "two": {"url": "https://two.test/arex"}}
    backend = ArcBackend(settings(state_dir=tmp_path, ces=two))
    here, there = (backend._take_on(a_pod(uid=uid), f"{url}/1") for uid, url in (("a", URL), ("b", two["two"]["url"])))
    answering, silent = Scripted(here, monkeypatch), Scripted(there, monkeypatch)
    here.since = there.since = 0.0
    answering.jobs = silent.jobs = {"1": "RUNNING"}
    await backend.follower.look()

    async def away(wanted: object) -> dict[str, str]:
        raise BackendUnavailable("away")

    monkeypatch.setattr(there.site.element, "states", away)
    answering.jobs = {"1": "FINISHED"}
    for _ in range(3):
        await backend.follower.look()
    assert (here.phase, there.phase, there.misses) == (Phase.ENDED, Phase.RUNNING, 0)
    monkeypatch.setattr(here.site.element, "states", away)
    with pytest.raises(BackendUnavailable, match="away"):
        await backend.follower.look()
    await backend.close()


async def last(backend: ArcBackend) -> PodReport | None:
    return next((report for _, report in backend.follower._reports_of_changed()), None)


async def test_a_failure_is_reported_with_its_cause_even_if_somebody_reads_the_log_first(
    followed: tuple[ArcBackend, ArcPod, Scripted],
) -> None:
    backend, pod, element = followed
    element.jobs, element.failure = {"1": "FAILED"}, BackendUnavailable("away")
    await backend.follower.look()
    await backend.read_now(pod)
    assert await last(backend) is None
    await backend.read_streams()
    assert await last(backend) is None
    element.failure = "LRMS error: (9)"
    await backend.read_streams()
    report = await last(backend)
    assert report is not None
    ended = report.containers[0].state
    assert isinstance(ended, Terminated)
    assert (ended.exit_code, ended.message) == (9, f"job {URL}/1 failed: LRMS error: (9)")


async def test_a_failure_that_only_the_information_system_knows_of(followed: tuple[ArcBackend, ArcPod, Scripted]) -> None:
    backend, pod, element = followed
    element.jobs = {"1": "FAILED"}
    await backend.follower.look()
    await backend.read_streams()
    assert pod.last_row is not None
    assert (pod.last_row.failure, pod.last_row.exit_code, pod.is_read) == ("one; two", 9, True)
