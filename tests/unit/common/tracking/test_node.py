"""The verbs of the virtual node, and what becomes of them when everything happens at once, in the wrong order, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from interlink_common.errors import BackendUnavailable, BadRequest, Gone, NotFound, Refused
from interlink_common.testing.scripted import ScriptedBackend
from interlink_common.testing.scripts import Script
from interlink_common.tracking.pods import Intent
from tests.unit.common.tracking.world import World, create, delete, eventually, make_pod, status, until_phase


async def test_a_pod_lives_and_is_removed(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        jid = await create(node, pod)
        assert jid == world.site.jobs[pod.uid].jid
        await until_phase(node, pod, "Running")
        await delete(node, pod, grace_seconds=5)
        await eventually(lambda: pod.uid not in node.registry.pods)
        assert world.site.stops == [(pod.uid, 5)]
        assert world.site.jobs == {}
        with pytest.raises(Gone):
            await create(node, pod)


async def test_a_create_admits_a_pod_once_and_plans_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    async with world.plugin() as node:
        await create(node, make_pod())
        assert (calls["admit"], calls["plan"]) == (1, 0)


async def test_a_pod_is_admitted_again_before_it_is_submitted_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = make_pod()
    async with world.plugin() as node:
        world.site.submit_errors = [BackendUnavailable("busy")] * 1000
        await create(node, pod)
    world.site.submit_errors = []
    calls = count_calls(monkeypatch, refusal="the operator forbids it now")
    async with world.plugin() as node:
        await until_phase(node, pod, "Failed")
        assert "the operator forbids it now" in pod.container_status("main")["state"]["terminated"]["message"]
        assert (calls["admit"], calls["plan"]) == (1, 0)
        assert world.site.submits == []


def count_calls(monkeypatch: pytest.MonkeyPatch, *, refusal: str = "") -> Counter[str]:
    """Counts calls of the backend's `admit` and `plan`; `refusal`: what `admit` says."""
    calls: Counter[str] = Counter()

    def admit(_self: object, _workload: object) -> None:
        calls["admit"] += 1
        if refusal:
            raise Refused(refusal)

    def plan(_self: object, _workload: object) -> list[object]:
        calls["plan"] += 1
        return []

    monkeypatch.setattr(ScriptedBackend, "admit", admit)
    monkeypatch.setattr(ScriptedBackend, "plan", plan)
    return calls


async def test_the_end_of_a_pod_is_reported_once(world: World) -> None:
    async with world.plugin() as node:
        good, bad, endless = make_pod("a", script=Script()), make_pod("b", script=Script(exit_codes=(3,))), make_pod("c")
        for pod, phase in ((good, "Succeeded"), (bad, "Failed"), (endless, "Running")):
            await create(node, pod)
            await until_phase(node, pod, phase)
        assert node.registry.counters == {"pods_succeeded": 1, "pods_failed": 1}
        for pod in (good, bad, endless):
            await delete(node, pod)
        await eventually(lambda: not node.registry.pods)
        assert node.registry.counters == {"pods_succeeded": 1, "pods_failed": 1, "pods_removed": 1}
    async with world.plugin() as node:
        assert not node.registry.counters


async def test_a_second_delete_with_less_grace_hurries_the_first(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod(script=Script(seconds=None, stop_seconds=3600))
        await create(node, pod)
        await until_phase(node, pod, "Running")
        await delete(node, pod, grace_seconds=3000)
        await eventually(lambda: world.site.stops)
        await delete(node, pod, grace_seconds=3600)
        await delete(node, pod, grace_seconds=0)
        await eventually(lambda: pod.uid not in node.registry.pods)
        assert world.site.stops == [(pod.uid, 3000), (pod.uid, 0)]


async def test_a_second_delete_before_the_first_is_begun_has_its_grace(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        await create(node, pod)
        world.site.set_reachable(False)
        await eventually(lambda: not node.registry.backend.up.is_set())
        await node.remove(pod.uid, 3600)
        await node.remove(pod.uid, 7)
        await node.remove(pod.uid, 3600)
        world.site.set_reachable(True)
        await eventually(lambda: pod.uid not in node.registry.pods)
        assert world.site.stops == [(pod.uid, 7)]


async def test_two_creates_at_once_are_one_job_and_one_answer(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        world.site.submits_pass.clear()
        both = [asyncio.create_task(create(node, pod)) for _ in range(2)]
        await eventually(lambda: node.registry.pods[pod.uid].submitting if pod.uid in node.registry.pods else None)
        world.site.submits_pass.set()
        assert await asyncio.gather(*both) == ["scripted-1"] * 2
        assert world.site.submits == [pod.uid]
        assert await create(node, pod) == "scripted-1"


async def test_a_status_before_the_create_is_answered_waits(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        status(node, pod)
        assert pod.container_status("main")["state"]["waiting"]["reason"] == "ContainerCreating"
        world.site.submits_pass.clear()
        creating = asyncio.create_task(create(node, pod))
        await eventually(lambda: pod.uid in node.registry.pods)
        assert status(node, pod).phase == "Pending"
        world.site.submits_pass.set()
        await creating


async def test_a_delete_during_a_create_wins(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        world.site.submits_pass.clear()
        creating = asyncio.create_task(create(node, pod))
        await eventually(lambda: pod.uid in node.registry.pods and node.registry.pods[pod.uid].submitting)
        await delete(node, pod)
        world.site.submits_pass.set()
        with pytest.raises(Gone):
            await creating
        await eventually(lambda: pod.uid in node.registry.tombstones)
        assert world.site.submits == [pod.uid]
        assert world.site.jobs == {}


@pytest.mark.parametrize("error", [Refused("spec.x is refused"), RuntimeError("a bug")])
async def test_a_submit_that_fails_for_good_leaves_nothing(world: World, error: Exception) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        world.site.submit_errors = [error]
        with pytest.raises(type(error)):
            await create(node, pod)
        await eventually(lambda: pod.uid not in node.registry.pods)
        assert await node.records.workload_json(pod.uid) is None
        assert node.registry.tombstones == {}


async def test_a_pod_created_in_an_outage_is_submitted_afterwards(world: World) -> None:
    async with world.plugin() as node:
        world.site.set_reachable(False)
        await eventually(lambda: node.registry.backend.down_since is not None)
        pod = make_pod()
        assert await create(node, pod) == pod.uid
        message = status(node, pod).container_status("main")["state"]["waiting"]["message"]
        assert "unreachable since" in message
        world.site.set_reachable(True)
        await until_phase(node, pod, "Running")
        assert world.site.submits == [pod.uid]


async def test_a_lost_answer_does_not_start_the_pod_twice(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        world.site.lost_answers = 1
        await create(node, pod)
        await until_phase(node, pod, "Running")
        assert world.site.submits == [pod.uid]
        await eventually(lambda: node.registry.pods[pod.uid].jid == "scripted-1")


async def test_refuse_answers_an_outage_with_503_and_keeps_nothing(world: World) -> None:
    async with world.plugin(when_backend_down="refuse") as node:
        pod = make_pod()
        world.site.lost_answers = 1
        with pytest.raises(BackendUnavailable):
            await create(node, pod)
        await eventually(lambda: pod.uid not in node.registry.pods)
        assert world.site.jobs == {}
        world.site.set_reachable(False)
        await eventually(lambda: node.registry.backend.down_since is not None)
        with pytest.raises(BackendUnavailable, match="unreachable since"):
            await create(node, pod)
        assert node.registry.pods == {}


async def test_a_slow_submit_is_answered_in_time_and_goes_on(world: World) -> None:
    async with world.plugin(submit_timeout_seconds=0.05) as node:
        pod = make_pod()
        world.site.submits_pass.clear()
        assert await create(node, pod) == pod.uid
        world.site.submits_pass.set()
        await eventually(lambda: node.registry.pods[pod.uid].intent is Intent.ACTIVE)
        assert world.site.submits == [pod.uid]


async def test_an_accepted_pod_that_is_refused_later_fails_with_the_sentence(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod(inits={"prep": Script()})
        world.site.submit_errors = [BackendUnavailable("busy"), Refused("no such queue")]
        await create(node, pod)
        message = status(node, pod).container_status("prep")["state"]["waiting"]["message"]
        assert message == "not submitted yet: busy"
        await until_phase(node, pod, "Failed")
        assert "no such queue" in pod.container_status("main")["state"]["terminated"]["message"]


async def test_an_outage_freezes_states_and_ends_by_itself(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        await create(node, pod)
        await until_phase(node, pod, "Running")
        world.site.set_reachable(False)
        await eventually(lambda: not node.registry.backend.up.is_set())
        assert status(node, pod).phase == "Running"
        assert json.loads(node.status(b"[]"))["status"] == "ok"
        world.site.set_reachable(True)
        await eventually(node.registry.backend.up.is_set)
        assert status(node, pod).phase == "Running"


async def test_the_ping_tells_capacity_and_may_fail_by_setting(world: World) -> None:
    async with world.plugin(ping_fails_when_backend_down=True) as node:
        await eventually(lambda: node.capacity.pods)
        assert json.loads(node.ping()) == {"status": "ok", "resources": {"cpu": "8", "memory": "16Gi", "pods": "100"}}
        world.site.set_reachable(False)
        await eventually(lambda: not node.registry.backend.up.is_set())
        with pytest.raises(BackendUnavailable):
            node.status(b"null")


async def test_a_delete_of_an_unknown_pod_is_fine_and_final(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        await delete(node, pod)
        await eventually(lambda: pod.uid in node.registry.tombstones)
        with pytest.raises(Gone):
            await create(node, pod)


async def test_an_unknown_pod_with_a_jid_is_told_to_have_no_record(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        pod.created(pod.uid, "j")
        assert status(node, pod).phase == "Pending"
        assert pod.container_status("main")["state"]["waiting"]["reason"] == "ContainerStatusUnknown"


async def test_before_recovery_unknown_pods_keep_their_state(world: World) -> None:
    world.site.set_reachable(False)
    async with world.plugin(recovered=False) as node:
        assert node.status(json.dumps(make_pod().status_body()).encode()) == b"[]"


@pytest.mark.parametrize(
    ("body", "field"), [(b"{", "status request"), (b"{}", "list"), (b'[{"metadata":{"uid":1}}]', "uid"), (b'[{"spec":{}}]', "metadata")]
)
async def test_a_bad_status_body_is_named(world: World, body: bytes, field: str) -> None:
    async with world.plugin() as node:
        with pytest.raises(BadRequest, match=field):
            node.status(body)


async def test_logs_follow_until_the_pod_is_removed(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod(script=Script(lines=("one", "two"), seconds=None, stop_seconds=0))
        await create(node, pod)
        await until_phase(node, pod, "Running")
        stream = await node.logs(json.dumps(pod.log_body("main", Follow=True)).encode())
        assert (await anext(stream)).startswith(b"one\n")
        await delete(node, pod, grace_seconds=0)
        async for _ in stream:
            pass
        await eventually(lambda: pod.uid not in node.registry.pods)
        with pytest.raises(NotFound):
            await node.logs(json.dumps(pod.log_body("main")).encode())


async def test_logs_of_a_container_that_is_not_there(world: World) -> None:
    async with world.plugin() as node:
        pod = make_pod()
        await create(node, pod)
        with pytest.raises(NotFound, match="nosuch"):
            await node.logs(json.dumps(pod.log_body("nosuch")).encode())
