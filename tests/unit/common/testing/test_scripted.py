"""The scripted backend keeps the seam's promises, and misbehaves on command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlink_common.backend import Job, LogQuery, Observation
from interlink_common.errors import BackendUnavailable, NotFound, Refused
from interlink_common.model.report import PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container, Workload
from interlink_common.settings import PluginSettings
from interlink_common.testing.scripted import ScriptedBackend, Site
from interlink_common.testing.scripts import Script

FOREVER = Script(seconds=None)


def container(name: str, script: Script, *, sidecar: bool = False) -> Container:
    return Container(name, "image", command=tuple(script.command()), sidecar=sidecar)


def pod(*mains: Script, inits: tuple[Script, ...] = (), sidecar: Script | None = None, policy: str = "Never") -> Workload:
    before = [container(f"i{number}", script) for number, script in enumerate(inits)]
    beside = [container("s", sidecar, sidecar=True)] if sidecar else []
    containers = tuple(container(f"c{number}", script) for number, script in enumerate(mains))
    return Workload("uid", "p", "default", containers, tuple(beside + before), restart_policy=policy)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    yield site
    await site.close()


@pytest.fixture
def backend(site: Site, tmp_path: Path) -> ScriptedBackend:
    return ScriptedBackend(PluginSettings(state_dir=tmp_path), site)


async def finished(backend: ScriptedBackend) -> PodReport:
    async with asyncio.timeout(30):
        async for observation in backend.observe():
            if observation.report.finished:
                return observation.report
    raise AssertionError


async def running(backend: ScriptedBackend) -> None:
    async with asyncio.timeout(30):
        async for observation in backend.observe():
            if isinstance(observation.report.containers[0].state, Running):
                return


async def drained(observer: AsyncIterator[Observation]) -> None:
    async for _ in observer:
        pass


def job(workload: Workload) -> Job:
    return Job(workload.uid, "scripted-1", workload)


def codes(report: PodReport) -> dict[str, int | None]:
    everybody = (*report.init_containers, *report.containers)
    return {c.name: c.state.exit_code if isinstance(c.state, Terminated) else None for c in everybody}


@pytest.mark.parametrize(
    ("workload", "ends"),
    [
        (pod(Script(), Script(exit_codes=(3,))), {"c0": 0, "c1": 3}),
        (pod(Script(), inits=(Script(), Script())), {"i0": 0, "i1": 0, "c0": 0}),
        (pod(Script(), inits=(Script(exit_codes=(4,)), Script())), {"i0": 4, "i1": 128, "c0": 128}),
        (pod(Script(), sidecar=FOREVER), {"s": 143, "c0": 0}),
        (pod(Script(exit_codes=(5, 6, 0)), policy="OnFailure"), {"c0": 0}),
    ],
)
async def test_jobs_follow_their_scripts(backend: ScriptedBackend, workload: Workload, ends: dict[str, int]) -> None:
    await backend.submit(workload)
    assert codes(await finished(backend)) == ends


async def test_restarts_are_counted_and_the_last_end_is_kept(backend: ScriptedBackend) -> None:
    await backend.submit(pod(Script(exit_codes=(5, 6, 0)), policy="OnFailure"))
    (main,) = (await finished(backend)).containers
    assert (main.restart_count, main.last_state and main.last_state.exit_code) == (2, 6)


async def test_between_two_attempts_a_container_waits(backend: ScriptedBackend) -> None:
    await backend.submit(pod(Script(), policy="Always"))
    seen: set[type] = set()
    async with asyncio.timeout(30):
        async for observation in backend.observe():
            (main,) = observation.report.containers
            assert not observation.report.finished
            seen.add(type(main.state))
            if main.restart_count > 2 and {Waiting, Running} <= seen:
                break


@pytest.mark.parametrize(("stop_seconds", "grace_seconds"), [(0.0, 30), (3600.0, 0)])
async def test_cancel_stops_and_removes(backend: ScriptedBackend, site: Site, stop_seconds: float, grace_seconds: int) -> None:
    workload = pod(Script(seconds=None, stop_seconds=stop_seconds))
    await backend.submit(workload)
    await running(backend)
    held = site.jobs["uid"]
    await backend.cancel(job(workload), grace_seconds)
    await backend.cancel(job(workload), grace_seconds)
    assert codes(held.report()) == {"c0": 137 if stop_seconds else 143}
    assert (list(site.jobs), site.stops, await backend.inventory()) == ([], [("uid", grace_seconds)], [])


async def test_jobs_outlive_the_plugin_and_are_found_again(backend: ScriptedBackend, site: Site) -> None:
    workload = pod(FOREVER)
    jid = await backend.submit(workload)
    (found,) = await ScriptedBackend(backend.settings, site).inventory()
    assert (found.pod_uid, found.jid, found.workload) == ("uid", jid, workload)


async def test_a_lost_answer_loses_only_the_answer(backend: ScriptedBackend, site: Site) -> None:
    site.lost_answers = 1
    with pytest.raises(BackendUnavailable):
        await backend.submit(pod(Script()))
    assert codes(await finished(backend)) == {"c0": 0}


async def test_a_submit_error_starts_nothing(backend: ScriptedBackend, site: Site) -> None:
    site.submit_errors.append(Refused("no"))
    with pytest.raises(Refused):
        await backend.submit(pod(Script()))
    assert await backend.inventory() == []


async def test_a_held_submit_hangs_until_it_is_let_go(backend: ScriptedBackend, site: Site) -> None:
    site.submits_pass.clear()
    submitting = asyncio.create_task(backend.submit(pod(Script())))
    await asyncio.sleep(0)
    assert (submitting.done(), site.submits) == (False, [])
    site.submits_pass.set()
    assert await submitting == "scripted-1"


async def test_an_outage_fails_every_call_and_ends_observers(backend: ScriptedBackend, site: Site) -> None:
    workload = pod(Script())
    await backend.submit(workload)
    observer = backend.observe()
    await anext(observer)
    site.set_reachable(False)
    with pytest.raises(BackendUnavailable):
        await drained(observer)
    for call in (backend.start([]), backend.submit(workload), backend.inventory(), backend.cancel(job(workload), 0), backend.capacity()):
        with pytest.raises(BackendUnavailable):
            await call
    site.set_reachable(True)
    assert codes(await finished(backend)) == {"c0": 0}


SAID = Script(lines=("one", "two", "three"))


async def read(backend: ScriptedBackend, workload: Workload, query: LogQuery) -> bytes:
    return b"".join([chunk async for chunk in backend.logs(job(workload), query)])


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (LogQuery("c0"), b"one\ntwo\nthree\n"),
        (LogQuery("c0", tail_lines=2), b"two\nthree\n"),
        (LogQuery("c0", tail_lines=0), b""),
        (LogQuery("c0", tail_lines=2, limit_bytes=5), b"two\nt"),
        (LogQuery("c0", since_ns=2**62), b""),
        (LogQuery("c0", follow=True, tail_lines=1), b"three\n"),
    ],
)
async def test_logs_are_selected_as_kubectl_selects_them(backend: ScriptedBackend, query: LogQuery, text: bytes) -> None:
    workload = pod(SAID)
    await backend.submit(workload)
    await finished(backend)
    assert await read(backend, workload, query) == text


async def test_follow_brings_what_comes_and_ends_with_the_attempt(backend: ScriptedBackend) -> None:
    workload = pod(Script(lines=("one", "two", "three"), line_seconds=0.05))
    await backend.submit(workload)
    await running(backend)
    async with asyncio.timeout(30):
        assert await read(backend, workload, LogQuery("c0", follow=True)) == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("query", [LogQuery("c0", previous=True), LogQuery("nobody")])
async def test_a_log_that_is_not_there_is_not_found(backend: ScriptedBackend, query: LogQuery) -> None:
    workload = pod(SAID)
    await backend.submit(workload)
    await finished(backend)
    with pytest.raises(NotFound):
        await read(backend, workload, query)


async def test_the_previous_log_of_a_container_in_back_off_is_its_last(backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlink_common.testing.scripts.BACKOFF_SECONDS", 3600.0)
    workload = pod(Script(lines=("said",), exit_codes=(1,)), policy="Always")
    job = Job(workload.uid, await backend.submit(workload), workload)
    async with asyncio.timeout(30):
        async for observation in backend.observe():
            if isinstance(observation.report.containers[0].state, Waiting) and observation.report.containers[0].last_state:
                break
    assert [chunk async for chunk in backend.logs(job, LogQuery("c0", previous=True))] == [b"said\n"]
    assert [chunk async for chunk in backend.logs(job, LogQuery("c0"))] == [b"said\n"]
