"""The verbs of the virtual node, and what becomes of them when everything happens at once, in the wrong order, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from interlink_common.errors import BackendUnavailable, BadRequest, Gone, NotFound, Refused
from interlink_common.testing.scripted import ScriptedBackend
from interlink_common.tracking.pods import Intent


async def test_a_pod_lives_and_is_removed(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        jid = await kit.create(node, pod)
        assert jid == world.site.jobs[pod.uid].jid
        await kit.until_phase(node, pod, "Running")
        await kit.delete(node, pod, grace_seconds=5)
        await kit.eventually(lambda: pod.uid not in node.registry.pods)
        assert world.site.stops == [(pod.uid, 5)]
        assert world.site.jobs == {}
        with pytest.raises(Gone):
            await kit.create(node, pod)


async def test_a_create_admits_a_pod_once_and_plans_nothing(world: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_calls(monkeypatch)
    async with world.plugin() as node:
        await kit.create(node, kit.pod())
        assert (calls["admit"], calls["plan"]) == (1, 0)


async def test_a_pod_is_admitted_again_before_it_is_submitted_later(world: Any, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = kit.pod()
    async with world.plugin() as node:
        world.site.submit_errors = [BackendUnavailable("busy")] * 1000
        await kit.create(node, pod)
    world.site.submit_errors = []
    calls = count_calls(monkeypatch, refusal="the operator forbids it now")
    async with world.plugin() as node:
        await kit.until_phase(node, pod, "Failed")
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


async def test_the_end_of_a_pod_is_reported_once(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        good, bad, endless = kit.pod("a", script=kit.script()), kit.pod("b", script=kit.script(exit_codes=(3,))), kit.pod("c")
        for pod, phase in ((good, "Succeeded"), (bad, "Failed"), (endless, "Running")):
            await kit.create(node, pod)
            await kit.until_phase(node, pod, phase)
        assert node.registry.counters == {"pods_succeeded": 1, "pods_failed": 1}
        for pod in (good, bad, endless):
            await kit.delete(node, pod)
        await kit.eventually(lambda: not node.registry.pods)
        assert node.registry.counters == {"pods_succeeded": 1, "pods_failed": 1, "pods_removed": 1}
    async with world.plugin() as node:
        assert not node.registry.counters


async def test_a_second_delete_with_less_grace_hurries_the_first(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod(script=kit.script(seconds=None, stop_seconds=3600))
        await kit.create(node, pod)
        await kit.until_phase(node, pod, "Running")
        await kit.delete(node, pod, grace_seconds=3000)
        await kit.eventually(lambda: world.site.stops)
        await kit.delete(node, pod, grace_seconds=3600)
        await kit.delete(node, pod, grace_seconds=0)
        await kit.eventually(lambda: pod.uid not in node.registry.pods)
        assert world.site.stops == [(pod.uid, 3000), (pod.uid, 0)]


async def test_a_second_delete_before_the_first_is_begun_has_its_grace(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        await kit.create(node, pod)
        world.site.set_reachable(False)
        await kit.eventually(lambda: not node.registry.backend.up.is_set())
        await node.remove(pod.uid, 3600)
        await node.remove(pod.uid, 7)
        await node.remove(pod.uid, 3600)
        world.site.set_reachable(True)
        await kit.eventually(lambda: pod.uid not in node.registry.pods)
        assert world.site.stops == [(pod.uid, 7)]


async def test_two_creates_at_once_are_one_job_and_one_answer(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        world.site.submits_pass.clear()
        both = [asyncio.create_task(kit.create(node, pod)) for _ in range(2)]
        await kit.eventually(lambda: node.registry.pods[pod.uid].submitting if pod.uid in node.registry.pods else None)
        world.site.submits_pass.set()
        assert await asyncio.gather(*both) == ["scripted-1"] * 2
        assert world.site.submits == [pod.uid]
        assert await kit.create(node, pod) == "scripted-1"


async def test_a_status_before_the_create_is_answered_waits(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        kit.status(node, pod)
        assert pod.container_status("main")["state"]["waiting"]["reason"] == "ContainerCreating"
        world.site.submits_pass.clear()
        creating = asyncio.create_task(kit.create(node, pod))
        await kit.eventually(lambda: pod.uid in node.registry.pods)
        assert kit.status(node, pod).phase == "Pending"
        world.site.submits_pass.set()
        await creating


async def test_a_delete_during_a_create_wins(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        world.site.submits_pass.clear()
        creating = asyncio.create_task(kit.create(node, pod))
        await kit.eventually(lambda: pod.uid in node.registry.pods and node.registry.pods[pod.uid].submitting)
        await kit.delete(node, pod)
        world.site.submits_pass.set()
        with pytest.raises(Gone):
            await creating
        await kit.eventually(lambda: pod.uid in node.registry.tombstones)
        assert world.site.submits == [pod.uid]
        assert world.site.jobs == {}


@pytest.mark.parametrize("error", [Refused("spec.x is refused"), RuntimeError("a bug")])
async def test_a_submit_that_fails_for_good_leaves_nothing(world: Any, kit: Any, error: Exception) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        world.site.submit_errors = [error]
        with pytest.raises(type(error)):
            await kit.create(node, pod)
        await kit.eventually(lambda: pod.uid not in node.registry.pods)
        assert await node.records.workload_json(pod.uid) is None
        assert node.registry.tombstones == {}


async def test_a_pod_created_in_an_outage_is_submitted_afterwards(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        world.site.set_reachable(False)
        await kit.eventually(lambda: node.registry.backend.down_since is not None)
        pod = kit.pod()
        assert await kit.create(node, pod) == pod.uid
        message = kit.status(node, pod).container_status("main")["state"]["waiting"]["message"]
        assert "unreachable since" in message
        world.site.set_reachable(True)
        await kit.until_phase(node, pod, "Running")
        assert world.site.submits == [pod.uid]


async def test_a_lost_answer_does_not_start_the_pod_twice(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        world.site.lost_answers = 1
        await kit.create(node, pod)
        await kit.until_phase(node, pod, "Running")
        assert world.site.submits == [pod.uid]
        await kit.eventually(lambda: node.registry.pods[pod.uid].jid == "scripted-1")


async def test_refuse_answers_an_outage_with_503_and_keeps_nothing(world: Any, kit: Any) -> None:
    async with world.plugin(when_backend_down="refuse") as node:
        pod = kit.pod()
        world.site.lost_answers = 1
        with pytest.raises(BackendUnavailable):
            await kit.create(node, pod)
        await kit.eventually(lambda: pod.uid not in node.registry.pods)
        assert world.site.jobs == {}
        world.site.set_reachable(False)
        await kit.eventually(lambda: node.registry.backend.down_since is not None)
        with pytest.raises(BackendUnavailable, match="unreachable since"):
            await kit.create(node, pod)
        assert node.registry.pods == {}


async def test_a_slow_submit_is_answered_in_time_and_goes_on(world: Any, kit: Any) -> None:
    async with world.plugin(submit_timeout_seconds=0.05) as node:
        pod = kit.pod()
        world.site.submits_pass.clear()
        assert await kit.create(node, pod) == pod.uid
        world.site.submits_pass.set()
        await kit.eventually(lambda: node.registry.pods[pod.uid].intent is Intent.ACTIVE)
        assert world.site.submits == [pod.uid]


async def test_an_accepted_pod_that_is_refused_later_fails_with_the_sentence(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod(inits={"prep": kit.script()})
        world.site.submit_errors = [BackendUnavailable("busy"), Refused("no such queue")]
        await kit.create(node, pod)
        message = kit.status(node, pod).container_status("prep")["state"]["waiting"]["message"]
        assert message == "not submitted yet: busy"
        await kit.until_phase(node, pod, "Failed")
        assert "no such queue" in pod.container_status("main")["state"]["terminated"]["message"]


async def test_an_outage_freezes_states_and_ends_by_itself(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        await kit.create(node, pod)
        await kit.until_phase(node, pod, "Running")
        world.site.set_reachable(False)
        await kit.eventually(lambda: not node.registry.backend.up.is_set())
        assert kit.status(node, pod).phase == "Running"
        assert json.loads(node.status(b"[]"))["status"] == "ok"
        world.site.set_reachable(True)
        await kit.eventually(node.registry.backend.up.is_set)
        assert kit.status(node, pod).phase == "Running"


async def test_the_ping_tells_capacity_and_may_fail_by_setting(world: Any, kit: Any) -> None:
    async with world.plugin(ping_fails_when_backend_down=True) as node:
        await kit.eventually(lambda: node.capacity.pods)
        assert json.loads(node.ping()) == {"status": "ok", "resources": {"cpu": "8", "memory": "16Gi", "pods": "100"}}
        world.site.set_reachable(False)
        await kit.eventually(lambda: not node.registry.backend.up.is_set())
        with pytest.raises(BackendUnavailable):
            node.status(b"null")


async def test_a_delete_of_an_unknown_pod_is_fine_and_final(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        await kit.delete(node, pod)
        await kit.eventually(lambda: pod.uid in node.registry.tombstones)
        with pytest.raises(Gone):
            await kit.create(node, pod)


async def test_an_unknown_pod_with_a_jid_is_told_to_have_no_record(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        pod.created(pod.uid, "j")
        assert kit.status(node, pod).phase == "Pending"
        assert pod.container_status("main")["state"]["waiting"]["reason"] == "ContainerStatusUnknown"


async def test_before_recovery_unknown_pods_keep_their_state(world: Any, kit: Any) -> None:
    world.site.set_reachable(False)
    async with world.plugin(recovered=False) as node:
        assert node.status(json.dumps(kit.pod().status_body()).encode()) == b"[]"


@pytest.mark.parametrize(
    ("body", "field"), [(b"{", "status request"), (b"{}", "list"), (b'[{"metadata":{"uid":1}}]', "uid"), (b'[{"spec":{}}]', "metadata")]
)
async def test_a_bad_status_body_is_named(world: Any, body: bytes, field: str) -> None:
    async with world.plugin() as node:
        with pytest.raises(BadRequest, match=field):
            node.status(body)


async def test_logs_follow_until_the_pod_is_removed(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod(script=kit.script(lines=("one", "two"), seconds=None, stop_seconds=0))
        await kit.create(node, pod)
        await kit.until_phase(node, pod, "Running")
        stream = await node.logs(json.dumps(pod.log_body("main", Follow=True)).encode())
        assert (await anext(stream)).startswith(b"one\n")
        await kit.delete(node, pod, grace_seconds=0)
        async for _ in stream:
            pass
        await kit.eventually(lambda: pod.uid not in node.registry.pods)
        with pytest.raises(NotFound):
            await node.logs(json.dumps(pod.log_body("main")).encode())


async def test_logs_of_a_container_that_is_not_there(world: Any, kit: Any) -> None:
    async with world.plugin() as node:
        pod = kit.pod()
        await kit.create(node, pod)
        with pytest.raises(NotFound, match="nosuch"):
            await node.logs(json.dumps(pod.log_body("nosuch")).encode())
