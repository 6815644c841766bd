"""What is read of jobs, when, and what is concluded from it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from interlink_arc import states
from interlink_arc.client import Slice
from interlink_arc.delegations import Delegations
from interlink_arc.follow import Follow
from interlink_arc.pods import Pod
from interlink_arc.settings import FollowSettings
from interlink_arc.sites import Sites
from interlink_common.batchsystem.journal import Journal
from interlink_common.errors import BackendUnavailable
from interlink_common.model.report import Terminated
from interlink_common.podrunner.events import LogLine, encode
from tests.unit.arc.pods import a_pod, settings

URL = "https://one.test/arex"


def test_a_quiet_stream_is_read_less_and_less_often_unless_somebody_follows(tmp_path: Path) -> None:
    follow = FollowSettings(poll_seconds=1, quiet_poll_seconds=3)
    pod = Pod(a_pod(), Sites(settings()).of("default", "one"), "1", Journal(tmp_path), 0.0, state="PREPARING")
    assert not pod.is_due(100.0, follow)
    pod.seen("RUNNING")
    pauses = []
    for _ in range(4):
        assert pod.is_due(100.0, follow)
        pod.was_read(0.0, news=False, follow=follow)
        pauses.append(pod.pause_seconds)
    assert pauses == [1.5, 2.25, 3, 3]
    assert not pod.is_due(2.9, follow)
    pod.followers = 1
    assert pod.is_due(0.1, follow)
    pod.followers = 0
    pod.was_read(0.0, news=True, follow=follow)
    assert pod.is_due(1.0, follow)
    pod.seen("FAILED")
    assert pod.is_due(0.0, follow)
    pod.is_read = True
    assert not pod.is_due(100.0, follow)


STREAM = encode(LogLine("main", 0, "stdout", 1, b"once"))


class Scripted:
    """An element with one job: `jobs` is what it tells of them, `failure` why one failed, or an error."""

    def __init__(self, pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: dict[str, str] = {}
        self.failure: str | BackendUnavailable = ""
        for name in ("states", "ids", "read", "info", "diagnose"):
            monkeypatch.setattr(pod.site.element, name, getattr(self, name))

    async def states(self, wanted: object) -> dict[str, str]:
        return {job: state for job, state in self.jobs.items() if state in states.TABLE}

    async def ids(self) -> list[str]:
        return list(self.jobs)

    async def read(self, job: str, name: str, offset: int, most_bytes: int) -> Slice:
        await asyncio.sleep(0.01)
        return Slice(STREAM[offset:], True)

    async def info(self, ids: object) -> dict[str, dict[str, Any]]:
        return {"1": {"ExitCode": "9", "Error": ["one", "two"]}}

    async def diagnose(self, job: str, item: str) -> str | None:
        if isinstance(self.failure, BackendUnavailable):
            raise self.failure
        return self.failure or None


@pytest.fixture
def followed(tmp_path: Path) -> tuple[Follow, Pod]:
    sites = Sites(settings(ces={"one": {"url": URL}}))
    follow = Follow(settings(), sites, Delegations(tmp_path / "delegations.json"))
    pod = Pod(a_pod(), sites.of("default", "one"), "1", Journal(tmp_path / "pod"), 0.0, state="RUNNING")
    follow.add(pod)
    return follow, pod


async def test_two_who_read_a_stream_at_once_bring_no_part_of_it_twice(
    followed: tuple[Follow, Pod], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, pod = followed
    Scripted(pod, monkeypatch)
    await asyncio.gather(follow.read_now(pod), follow.read_now(pod))
    assert (pod.journal.directory / "log/1.1").read_bytes() == STREAM


async def test_a_job_is_gone_only_when_it_is_missed_twice_in_a_row(followed: tuple[Follow, Pod], monkeypatch: pytest.MonkeyPatch) -> None:
    follow, pod = followed
    element = Scripted(pod, monkeypatch)
    seen = []
    for jobs in ({}, {"1": "RUNNING"}, {"1": "BRANDNEW"}, {}, {}):
        element.jobs = jobs
        await follow.look()
        seen.append(pod.state)
    assert seen == ["RUNNING", "RUNNING", "unknown", "unknown", states.GONE]


async def test_a_failure_is_told_with_its_cause_even_if_somebody_reads_the_log_first(
    followed: tuple[Follow, Pod], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, pod = followed
    element = Scripted(pod, monkeypatch)
    pod.seen("FAILED")
    element.failure = BackendUnavailable("away")
    await follow.read_now(pod)
    assert pod.report() is None
    await follow._read()
    assert pod.report() is None
    element.failure = "LRMS error: (9)"
    await follow._read()
    report = pod.report()
    assert report is not None
    ended = report.containers[0].state
    assert isinstance(ended, Terminated)
    assert (ended.exit_code, ended.message) == (9, f"job {URL}/1 failed: LRMS error: (9)")


async def test_a_failure_that_only_the_information_system_knows_of(followed: tuple[Follow, Pod], monkeypatch: pytest.MonkeyPatch) -> None:
    follow, pod = followed
    Scripted(pod, monkeypatch)
    pod.seen("FAILED")
    await follow._read()
    assert (pod.failure, pod.exit_code, pod.is_read) == ("one; two", 9, True)
