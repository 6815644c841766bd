"""What heals by itself: restarts, a lost database, jobs nobody knows, deletes that never arrived."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from interlink_common.backend import FoundJob, Job, Observation, in_slices
from interlink_common.model.codec import from_json, stub
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.serve.server import running_node
from interlink_common.testing.scripted import ScriptedBackend
from interlink_common.testing.scripts import Script
from interlink_common.tracking import reconciler
from interlink_common.tracking.housekeeping import TOMBSTONE_SECONDS, Housekeeping
from interlink_common.tracking.node import VirtualNode
from interlink_common.tracking.pods import Intent, PodRecord
from tests.unit.common.tracking.world import World, create, delete, eventually, make_pod, status, until_phase


async def test_a_restart_picks_up_what_ran_and_what_ended(world: World) -> None:
    running, ended = make_pod("running"), make_pod("ended", script=Script(exit_codes=(3,), message="why"))
    async with world.plugin() as node:
        for pod in (running, ended):
            await create(node, pod)
        await eventually(lambda: node.registry.pods[ended.uid].finished)
        await until_phase(node, running, "Running")
    world.site.set_reachable(False)
    async with world.plugin(recovered=False) as node:
        assert status(node, ended).phase == "Failed"
        assert status(node, running).phase == "Running"
        assert node.registry.pods[ended.uid].finished_at is not None


async def test_start_gets_all_jobs_on_record(world: World) -> None:
    pod, deleted = make_pod("kept"), make_pod("deleted")
    async with world.plugin() as node:
        for each in (pod, deleted):
            await create(node, each)
        await delete(node, deleted, grace_seconds=0)
        await eventually(lambda: deleted.uid not in node.registry.pods)
    given: list[Job] = []

    class Starting(ScriptedBackend):
        async def start(self, jobs: Sequence[Job]) -> None:
            given.extend(jobs)
            assert (len(jobs), jobs[0], jobs[:1]) == (1, given[0], given)

    async with running_node(Starting(world.settings(), world.site), world.settings()) as node:
        await eventually(lambda: node.registry.recovered)
    assert [(job.pod_uid, job.jid, job.workload.name) for job in given] == [(pod.uid, "scripted-1", "kept")]


async def test_jobs_on_record_are_read_a_few_at_a_time_and_never_in_the_event_loop(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.plugin() as node:
        for name in "abc":
            await create(node, make_pod(name))
    slices: list[set[str]] = []

    def decoding(text: str) -> Workload:
        assert threading.current_thread() is not threading.main_thread()
        return from_json(text)

    class Starting(ScriptedBackend):
        async def start(self, jobs: Sequence[Job]) -> None:
            slices.extend([{job.workload.name for job in some} async for some in in_slices(jobs, 2)])

    monkeypatch.setattr("interlink_common.tracking.reconciler.from_json", decoding)
    async with running_node(Starting(world.settings(), world.site), world.settings()) as node:
        await eventually(lambda: node.registry.recovered)
    assert [len(some) for some in slices] == [2, 1]
    assert set.union(*slices) == {"a", "b", "c"}


async def test_after_a_lost_database_jobs_are_adopted(world: World) -> None:
    pod = make_pod(inits={"prep": Script()})
    async with world.plugin() as node:
        await create(node, pod)
        await until_phase(node, pod, "Running")
    (world.state_dir / "records.sqlite3").unlink()
    async with world.plugin() as node:
        assert status(node, pod).phase == "Running"
        assert node.registry.counters["adopted"] == 1
        await delete(node, pod, grace_seconds=0)
        await eventually(lambda: world.site.jobs == {})


class Adopting(ScriptedBackend):
    """Notes what it is to adopt, and for how many it was told all."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.adopted: list[tuple[Job, bool]] = []

    async def adopt(self, job: Job, *, complete: bool) -> None:
        self.adopted.append((job, complete))


async def test_a_job_whose_answer_is_not_on_record_is_handed_over_with_the_whole_workload(world: World) -> None:
    pod = make_pod()
    async with world.plugin() as node:
        await create(node, pod)
        record = node.registry.pods[pod.uid]
        workload = from_json(await node.records.workload_json(pod.uid) or "")
        record.intent, record.jid = Intent.CREATING, None
        await node.records.update(record)
    world.site.jobs[pod.uid].workload = stub(workload)
    backend = Adopting(world.settings(), world.site)
    async with running_node(backend, world.settings()) as node:
        await eventually(lambda: node.registry.pods[pod.uid].intent is Intent.ACTIVE)
    assert backend.adopted == [(Job(pod.uid, "scripted-1", workload), True)]
    assert workload.containers[0].command is not None
    assert len(world.site.submits) == 1


async def test_a_job_whose_record_is_lost_is_handed_over_with_what_it_tells(world: World) -> None:
    pod = make_pod()
    async with world.plugin() as node:
        await create(node, pod)
    (world.state_dir / "records.sqlite3").unlink()
    told = world.site.jobs[pod.uid].workload = stub(world.site.jobs[pod.uid].workload)
    backend = Adopting(world.settings(), world.site)
    async with running_node(backend, world.settings()) as node:
        await eventually(lambda: node.registry.recovered)
    assert backend.adopted == [(Job(pod.uid, "scripted-1", told), False)]


async def test_a_delete_after_a_kill_stops_the_job_by_the_whole_workload(world: World) -> None:
    pod = make_pod()
    async with world.plugin() as node:
        await create(node, pod)
        record = node.registry.pods[pod.uid]
        workload = from_json(await node.records.workload_json(pod.uid) or "")
        record.intent, record.jid = Intent.DELETING, None
        await node.records.update(record)
    cancelled: list[Job] = []

    class Cancelling(Adopting):
        async def cancel(self, job: Job, grace_seconds: int) -> None:
            cancelled.append(job)
            await super().cancel(job, grace_seconds)

    backend = Cancelling(world.settings(), world.site)
    async with running_node(backend, world.settings()) as node:
        await eventually(lambda: pod.uid in node.registry.tombstones)
    assert (cancelled, backend.adopted) == ([Job(pod.uid, "scripted-1", workload)], [])


async def test_a_delete_after_a_lost_database_finds_the_job(world: World) -> None:
    pod = make_pod()
    async with world.plugin() as node:
        await create(node, pod)
    (world.state_dir / "records.sqlite3").unlink()
    world.site.set_reachable(False)
    async with world.plugin(recovered=False) as node:
        await delete(node, pod, grace_seconds=0)
        world.site.set_reachable(True)
        await eventually(lambda: pod.uid in node.registry.tombstones)
        assert world.site.jobs == {}


async def test_a_delete_in_an_outage_outlives_a_restart(world: World) -> None:
    pod = make_pod()
    async with world.plugin() as node:
        await create(node, pod)
        world.site.set_reachable(False)
        await eventually(lambda: not node.registry.backend.up.is_set())
        await delete(node, pod, grace_seconds=7)
    async with world.plugin(recovered=False) as node:
        world.site.set_reachable(True)
        await eventually(lambda: pod.uid in node.registry.tombstones)
        assert world.site.stops == [(pod.uid, 30)]


async def test_a_job_of_a_deleted_pod_is_removed_when_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "INVENTORY_PERIOD_SECONDS", 0.02)
    pod = make_pod()
    async with world.plugin() as node:
        await create(node, pod)
        job = world.site.jobs[pod.uid]
        await delete(node, pod, grace_seconds=0)
        await eventually(lambda: pod.uid not in node.registry.pods)
        world.site.jobs[pod.uid] = job
        await eventually(lambda: world.site.jobs == {})


async def test_a_bug_in_observe_freezes_and_does_not_end_the_watch(world: World) -> None:
    class Buggy(ScriptedBackend):
        crashes = 2

        async def observe(self) -> AsyncIterator[Observation]:
            if self.crashes:
                self.crashes -= 1
                raise ZeroDivisionError
            async for observation in super().observe():
                yield observation

    pod = make_pod()
    async with running_node(Buggy(world.settings(), world.site), world.settings()) as node:
        await create(node, pod)
        await until_phase(node, pod, "Running")
        assert node.registry.backend.up.is_set()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float, node: VirtualNode) -> None:
        """Time with pings every 30 s."""
        for _ in range(int(seconds // 30)):
            self.now += 30
            node.ping()


@pytest.mark.parametrize(("mode", "orphan", "left"), [("off", False, 1), ("warn", True, 1), ("delete", True, 0)])
async def test_the_collector_acts_on_pods_nobody_asks_for(world: World, mode: str, orphan: bool, left: int) -> None:
    async with world.plugin(collector={"mode": mode, "after_seconds": 600}) as node:
        clock = Clock()
        node.registry.contact._monotonic = clock
        node.registry.contact._last_call = clock.now
        lost, asked = make_pod("lost"), make_pod("asked")
        for pod in (lost, asked):
            await create(node, pod)
        record = node.registry.pods[lost.uid]
        housekeeping = Housekeeping(node)
        clock.now += 100_000
        await housekeeping.run_once()
        assert not record.is_orphan, "nobody called in that time"
        clock.pass_by(690, node)
        status(node, asked)
        await housekeeping.run_once()
        assert record.is_orphan is orphan
        assert not node.registry.pods[asked.uid].is_orphan
        if mode == "delete":
            await eventually(lambda: lost.uid not in node.registry.pods)
        assert len(world.site.jobs) == 1 + left
        if mode == "warn":
            status(node, lost)
            assert not record.is_orphan


async def test_ended_pods_are_kept_or_retired(world: World) -> None:
    async with world.plugin(finished_retention_seconds=60) as node:
        pod = make_pod(script=Script())
        await create(node, pod)
        await eventually(lambda: node.registry.pods[pod.uid].finished)
        housekeeping, record = Housekeeping(node), node.registry.pods[pod.uid]
        await housekeeping.run_once()
        assert record.intent is Intent.ACTIVE
        assert record.finished_at is not None
        record.finished_at -= 61
        await housekeeping.run_once()
        await eventually(lambda: world.site.jobs == {})


async def test_tombstones_are_forgotten(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        await delete(node, pod)
        await eventually(lambda: pod.uid in node.registry.tombstones)
        await Housekeeping(node).run_once()
        assert pod.uid in node.registry.tombstones
        node.registry.tombstones[pod.uid] -= TOMBSTONE_SECONDS + 1
        await Housekeeping(node).run_once()
        assert node.registry.tombstones == {}


async def test_a_burst_of_states_lets_the_event_loop_do_other_work(world: World) -> None:
    """Ten thousand states that are all there at once must not be one step of the loop."""
    count, turns = 1000, []

    class Bursting(ScriptedBackend):
        async def inventory(self) -> Sequence[FoundJob]:
            turns.append(0)
            asyncio.get_running_loop().call_soon(counted)
            return [FoundJob(f"uid-{number}", "j") for number in range(count)]

        async def observe(self) -> AsyncIterator[Observation]:
            turns.append(0)
            asyncio.get_running_loop().call_soon(counted)
            for number in range(count):
                yield Observation(f"uid-{number}", PodReport(()))
            turns.append(0)
            async for observation in super().observe():
                yield observation

    def counted() -> None:
        turns[-1] += 1
        if len(turns) < 3:
            asyncio.get_running_loop().call_soon(counted)

    async with running_node(Bursting(world.settings(), world.site), world.settings()) as node:
        for number in range(count):
            node.registry.pods[f"uid-{number}"] = PodRecord(f"uid-{number}", intent=Intent.ACTIVE, jid="j")
        await eventually(lambda: len(turns) == 3)
        node.registry.pods.clear()
    assert turns[0] > 10
    assert turns[1] > 10
