"""What the skeleton does for every batch backend, seen on one that is as small as can be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from interlink_common.backend import FoundJob, Job, LogQuery, NodeCapacity
from interlink_common.batchsystem.jobs import Phase
from interlink_common.batchsystem.journal import Journal
from interlink_common.batchsystem.settings import CapacitySettings, StreamSettings
from interlink_common.errors import BackendUnavailable, NotFound, Refused
from interlink_common.model.codec import stub
from interlink_common.model.report import PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import HostPathVolume, Workload
from interlink_common.podrunner.events import StartedAgain, encode
from tests.unit.common.batchsystem.scripted import ALIVE, DONE, ENDED, HELLO, STARTED, Pod, Row, ScriptedBackend, a_pod


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[ScriptedBackend]:
    backend = ScriptedBackend(tmp_path)
    yield backend
    await backend.close()


async def started(backend: ScriptedBackend, workload: Workload | None = None) -> Pod:
    """A submitted pod that the next look judges."""
    workload = workload or a_pod()
    await backend.submit(workload)
    pod = backend.follower.pods[workload.uid]
    pod.since = 0.0
    return pod


async def report(backend: ScriptedBackend, state: str | None = None, uid: str = "uid") -> PodReport | None:
    """What is reported of a pod after one look and one round of reads, if it changed; its job is in `state` now, or unchanged."""
    pod = backend.follower.pods[uid]
    pod.read_at = -1e6
    if state is not None:
        backend.jobs[pod.jid] = state
    await backend.follower.look()
    await backend.read_streams()
    return dict(backend.follower._reports_of_changed()).get(uid)


async def test_a_pods_way_from_the_queue_to_its_end(backend: ScriptedBackend) -> None:
    pod = await started(backend)
    waiting = await report(backend)
    assert waiting is not None
    assert waiting.containers[0].state == Waiting("Queued", "job j0 waits")
    starting = await report(backend, "running")
    assert starting is not None
    assert starting.containers[0].state == Waiting("ContainerCreating", "job j0 starts")
    backend.streams[pod.jid] = STARTED
    assert await report(backend) == ALIVE
    backend.streams[pod.jid] += ENDED
    assert await report(backend, "over") == DONE
    assert pod.journal.final() == DONE
    await asyncio.sleep(0)
    await backend.close()
    again = ScriptedBackend(backend.state)
    again.is_away = True
    with pytest.raises(BackendUnavailable):
        await again.start([Job("uid", pod.jid, pod.workload)])
    assert dict(again.follower._reports_of_changed()) == {"uid": DONE}, "the end is durable"


async def test_an_ended_job_is_reported_only_when_its_stream_is_read(backend: ScriptedBackend) -> None:
    pod = await started(backend)
    await report(backend, "running")
    backend.jobs[pod.jid], backend.streams[pod.jid] = "over", STARTED
    await backend.follower.look()
    assert dict(backend.follower._reports_of_changed()) == {}
    ended = await report(backend)
    assert ended is not None
    assert ended.finished
    assert isinstance(ended.containers[0].state, Terminated)
    assert (ended.containers[0].state.started_at, ended.containers[0].state.message) == (1.0, "it ended: ")


async def test_an_unknown_state_is_never_an_end(backend: ScriptedBackend) -> None:
    await started(backend)
    unknown = await report(backend, "brandnew")
    assert unknown is not None
    assert not unknown.finished
    assert unknown.containers[0].state == Waiting("Unknown", "job j0 is in the unknown state brandnew")


async def test_a_requeued_job_counts_as_another_run(backend: ScriptedBackend) -> None:
    pod = await started(backend)
    backend.streams[pod.jid] = STARTED
    assert await report(backend, "running") == ALIVE
    waiting = await report(backend, "queued")
    assert waiting is not None
    assert (waiting.containers[0].state, waiting.containers[0].restart_count) == (Waiting("Queued", "job j0 waits"), 1)
    backend.streams[pod.jid] += encode(StartedAgain(2)) + STARTED
    running = await report(backend, "running")
    assert running is not None
    entry = running.containers[0]
    assert (entry.state, entry.restart_count) == (Running(1.0), 1)
    assert entry.last_state is not None
    assert entry.last_state.message == "its node failed"


async def test_a_lost_job_is_asked_for_and_explained(backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = await started(backend)
    backend.streams[pod.jid] = STARTED
    await report(backend, "running")
    del backend.jobs[pod.jid]

    async def explain(pods: Sequence[Pod]) -> dict[str, Row]:
        return {each.jid: Row(each.jid, "over", "an admin") for each in pods}

    monkeypatch.setattr(backend, "explain_lost", explain)
    assert await report(backend) is None, "one look may miss a job"
    lost = await report(backend)
    assert lost is not None
    assert lost.finished
    assert isinstance(lost.containers[0].state, Terminated)
    assert lost.containers[0].state.message == "it is gone: an admin"


async def test_what_a_forgotten_job_has_written_counts_where_it_can_still_be_read(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedBackend, "streams_outlive_jobs", True)
    pod = await started(backend)
    await report(backend, "running")
    del backend.jobs[pod.jid]
    assert await report(backend) is None
    backend.streams[pod.jid] = STARTED + ENDED
    assert await report(backend) == DONE


async def test_a_pod_that_was_taken_on_during_a_look_is_not_judged_by_it(backend: ScriptedBackend) -> None:
    await backend.submit(a_pod())
    pod = backend.follower.pods["uid"]
    pod.since += 60
    backend.jobs.clear()
    for _ in range(3):
        await backend.follower.look()
    assert pod.phase is Phase.UNSEEN


def test_a_quiet_stream_is_read_less_and_less_often_unless_somebody_follows(backend: ScriptedBackend) -> None:
    settings = StreamSettings(poll_seconds=1, quiet_poll_seconds=3)
    pod = backend.follow(a_pod(), "j0", Journal(backend.directory("uid")))
    pod.saw(Row("j0", "queued"))

    def is_due(now: float) -> bool:
        return pod.is_due(now, settings, outlives=False)

    assert not is_due(100.0)
    pod.saw(Row("j0", "running"))
    pauses = []
    for _ in range(4):
        assert is_due(100.0)
        pod.was_read(0.0, settings, news=False)
        pauses.append(pod.pause_seconds)
    assert pauses == [1.5, 2.25, 3, 3]
    assert not is_due(2.9)
    pod.log_followers = 1
    assert is_due(0.1)
    pod.log_followers = 0
    pod.was_read(0.0, settings, news=True)
    assert is_due(1.0)
    pod.saw(Row("j0", "over"))
    assert is_due(0.0)
    pod.is_read = True
    assert not is_due(100.0)


async def test_a_round_reads_so_many_streams_and_ended_jobs_first(tmp_path: Path) -> None:
    backend = ScriptedBackend(tmp_path, reads_per_round=2)
    pods = [await started(backend, a_pod(f"uid-{number}")) for number in range(5)]
    for pod in pods:
        backend.jobs[pod.jid] = "running"
    backend.jobs[pods[3].jid] = "over"
    pods[4].log_followers = 1
    await backend.follower.look()
    assert await backend.read_streams() is not None, "the next round is due soon"
    assert backend.calls["read"] == 2
    assert pods[3].is_read
    assert pods[4].read_at > 0


async def test_two_who_read_a_stream_at_once_bring_no_part_of_it_twice(backend: ScriptedBackend) -> None:
    pod = await started(backend)
    await report(backend, "running")
    backend.streams[pod.jid] = HELLO
    await asyncio.gather(backend.read_now(pod), backend.read_now(pod))
    assert (pod.journal.directory / "log/1.1").read_bytes() == HELLO


async def test_a_log_is_read_when_somebody_asks_for_it_and_ends_with_the_attempt(backend: ScriptedBackend) -> None:
    pod = await started(backend)
    with pytest.raises(NotFound):
        [chunk async for chunk in backend.logs(Job("other", "j9", a_pod("other")), LogQuery("main"))]
    await report(backend, "running")
    backend.streams[pod.jid] = STARTED
    seen = []
    async for chunk in backend.logs(Job("uid", pod.jid, pod.workload), LogQuery("main", follow=True)):
        seen.append(chunk)
        assert pod.log_followers == 1
        backend.streams[pod.jid] = STARTED + ENDED
        await report(backend, "over")
    assert (seen, pod.log_followers) == ([b"hello\n"], 0)


@pytest.mark.parametrize("state", ["queued", "running", "over", None])
@pytest.mark.parametrize("obeys", [True, False])
async def test_a_removal_stops_in_order_and_kills_what_does_not_stop(
    backend: ScriptedBackend, monkeypatch: pytest.MonkeyPatch, state: str | None, obeys: bool
) -> None:
    monkeypatch.setattr("interlink_common.batchsystem.removal.LOOK_SECONDS", 0.01)
    backend.obeys = obeys
    pod = await started(backend)
    if state is None:
        del backend.jobs[pod.jid]
    else:
        backend.jobs[pod.jid] = state

    async def observe() -> None:
        async for _ in backend.observe():
            pass

    observing = asyncio.create_task(observe())
    try:
        await asyncio.wait_for(backend.cancel(Job("uid", pod.jid, pod.workload), 0), 30)
    finally:
        observing.cancel()
        await asyncio.gather(observing, return_exceptions=True)
        await backend.close()
    assert backend.jobs == {}
    assert backend.follower.pods == {}
    assert not pod.journal.directory.exists()
    assert (backend.calls["stop"] > 0) == (state in ("queued", "running"))
    assert (backend.calls["kill"] > 0) == (state == "queued" or (state == "running" and not obeys))


async def test_what_an_inventory_finds_and_what_it_ends(backend: ScriptedBackend) -> None:
    followed = await started(backend, a_pod("followed"))
    other = ScriptedBackend(backend.state)
    other.marks = {
        "lost": backend.mark(a_pod("lost")),
        "half": backend.mark(a_pod("half")),
        "second": backend.mark(a_pod("followed")),
        "under-way": backend.mark(a_pod("under-way")),
        "foreign": "interlink:elsewhere:AAAA",
        "none": "",
    }
    backend.marks |= other.marks
    backend.jobs |= dict.fromkeys(other.marks, "queued")
    backend.whole |= set(other.marks) - {"half"}
    backend._submitting.add("under-way")
    for uid in ("lost", "half", "under-way", "left-over"):
        backend.directory(uid).mkdir(parents=True)
    found = await backend.inventory()
    assert sorted(found, key=lambda job: job.pod_uid) == [
        FoundJob("followed", followed.jid, followed.workload),
        FoundJob("lost", "lost", stub(a_pod("lost"))),
    ]
    assert set(backend.jobs) == {followed.jid, "lost", "under-way", "foreign", "none"}
    assert {path.name for path in (backend.state / "pods").iterdir()} == {"lost", "under-way"}


async def test_policy_and_capacity_are_the_operators(tmp_path: Path) -> None:
    backend = ScriptedBackend(tmp_path, capacity=CapacitySettings(cpu_millis=4000, pods=7))
    assert await backend.capacity() == NodeCapacity(4000, None, 7, {})
    assert [row.name for row in await backend.check()] == ["runtimes"]
    with pytest.raises(Refused, match="the host path /etc is not allowed"):
        backend.admit(a_pod(volumes=(HostPathVolume("v", "/etc"),)))
    with pytest.raises(Refused, match=r"metadata\.uid"):
        backend.admit(a_pod("../up"))
