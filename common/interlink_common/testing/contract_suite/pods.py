"""The part of the contract suite about pods: what becomes of them, and how it is reported."""

from __future__ import annotations

import asyncio
import itertools
import re
from datetime import datetime

import pytest

from interlink_common.backend import Capabilities
from interlink_common.testing.contract_suite.base import PATIENCE_SECONDS, ContractBase, Pods, RunningPlugin, needs
from interlink_common.testing.scripts import Script
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import CallError, PluginClient

FOREVER = Script(seconds=None)


def exit_code(pod: VirtualPod, container: str) -> int:
    """Of an ended container. Raises KeyError if it has not ended."""
    return int(pod.container_status(container)["state"]["terminated"]["exitCode"])


class PodContract(ContractBase):
    async def ended(self, client: PluginClient, pod: VirtualPod) -> VirtualPod:
        return await client.wait_for(pod, lambda seen: seen.ended, timeout_seconds=PATIENCE_SECONDS)

    async def running(self, client: PluginClient, pod: VirtualPod) -> VirtualPod:
        return await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)

    async def test_ping_keeps_the_node_ready(self, client: PluginClient) -> None:
        told = await client.ping()
        assert told.get("status") == "ok"
        for name, value in (told.get("resources") or {}).items():
            assert name == "accelerators" or re.fullmatch(r"\d+([KMGT]i)?", value), f"{name}: {value} is no whole number"

    async def test_a_pod_runs_to_its_end(self, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=Script(lines=("hello",)))
        await self.ended(client, pod)
        assert (pod.phase, exit_code(pod, "main")) == ("Succeeded", 0)

    @pytest.mark.parametrize("code", [1, 3, 137, 255])
    async def test_exit_codes_are_told_truly(self, client: PluginClient, pods: Pods, code: int) -> None:
        pod = await pods.start(main=Script(exit_codes=(code,)))
        await self.ended(client, pod)
        assert (pod.phase, exit_code(pod, "main")) == ("Failed", code)

    async def test_every_container_has_its_own_end(self, client: PluginClient, pods: Pods, capabilities: Capabilities) -> None:
        needs(capabilities.several_containers, "several containers")
        pod = await pods.start(good=Script(), bad=Script(exit_codes=(7,)), slow=Script(seconds=1.0))
        await self.ended(client, pod)
        assert (pod.phase, [exit_code(pod, name) for name in ("good", "bad", "slow")]) == ("Failed", [0, 7, 0])

    async def test_a_running_pod_is_told_running(self, client: PluginClient, pods: Pods) -> None:
        pod = await self.running(client, await pods.start(main=FOREVER))
        status = pod.container_status("main")
        assert (status["ready"], status["restartCount"], status["lastState"]) == (True, 0, {})

    async def test_init_containers_run_before_the_mains(self, client: PluginClient, pods: Pods, capabilities: Capabilities) -> None:
        needs(capabilities.init_containers, "init containers")
        pod = await pods.start(inits={"one": Script(seconds=0.5), "two": Script()}, main=Script())
        await self.ended(client, pod)
        ends = [pod.container_status(name)["state"]["terminated"] for name in ("one", "two", "main")]
        assert pod.phase == "Succeeded"
        for before, after in itertools.pairwise(ends):
            assert datetime.fromisoformat(before["finishedAt"]) <= datetime.fromisoformat(after["startedAt"])

    async def test_a_failed_init_fails_the_pod_and_nothing_after_it_runs(
        self, client: PluginClient, pods: Pods, capabilities: Capabilities
    ) -> None:
        needs(capabilities.init_containers, "init containers")
        pod = await pods.start(
            inits={"good": Script(), "bad": Script(exit_codes=(4,)), "never": Script(lines=("ran",))}, main=Script(lines=("ran",))
        )
        await self.ended(client, pod)
        assert (pod.phase, exit_code(pod, "good"), exit_code(pod, "bad")) == ("Failed", 0, 4)
        for name in ("never", "main"):
            with pytest.raises(CallError):
                await client.read_logs(pod, name)

    async def test_a_native_sidecar_runs_beside_and_does_not_hold_the_pod_up(
        self, client: PluginClient, pods: Pods, capabilities: Capabilities
    ) -> None:
        needs(capabilities.sidecars, "native sidecars")
        pod = await pods.start(sidecars={"beside": Script(lines=("beside",), seconds=None)}, main=Script(seconds=0.5))
        await self.ended(client, pod)
        assert pod.phase == "Succeeded"
        assert await client.read_logs(pod, "beside") == "beside\n"

    async def test_on_failure_restarts_until_success(self, client: PluginClient, pods: Pods, capabilities: Capabilities) -> None:
        needs("OnFailure" in capabilities.restart_policies, "restartPolicy OnFailure")
        pod = await pods.start(policy="OnFailure", main=Script(exit_codes=(5, 0)))
        await self.ended(client, pod)
        status = pod.container_status("main")
        assert (pod.phase, status["restartCount"]) == ("Succeeded", 1)
        assert status["lastState"]["terminated"]["exitCode"] == 5

    async def test_always_restarts_and_never_ends(self, client: PluginClient, pods: Pods, capabilities: Capabilities) -> None:
        needs("Always" in capabilities.restart_policies, "restartPolicy Always")
        pod = await pods.start(policy="Always", main=Script())
        restarted = await client.wait_for(
            pod, lambda seen: bool(seen.container_status("main")["restartCount"]), timeout_seconds=PATIENCE_SECONDS
        )
        assert not restarted.ended

    async def test_the_same_pod_created_again_runs_once(self, client: PluginClient, pods: Pods) -> None:
        pod = pods.make(main=Script(lines=("once",), seconds=0.5))
        jids = await asyncio.gather(*(client.create(pod) for _ in range(5)))
        jids.append(await client.create(pod))
        await self.ended(client, pod)
        assert len(set(jids)) == 1
        assert await client.read_logs(pod, "main") == "once\n"

    async def test_many_pods_are_created_at_once(self, client: PluginClient, pods: Pods) -> None:
        several = await asyncio.gather(*(pods.start(main=Script(exit_codes=(number,))) for number in range(8)))
        await asyncio.gather(*(self.ended(client, pod) for pod in several))
        assert [exit_code(pod, "main") for pod in several] == list(range(8))

    async def test_status_may_be_asked_before_create_was_answered(self, client: PluginClient, pods: Pods) -> None:
        pod = pods.make(main=Script(seconds=0.5))
        assert await client.status(pod) == "Pending"
        creating = asyncio.create_task(client.create(pod))
        while not creating.done():
            await client.status(pod)
        await creating
        await self.ended(client, pod)
        assert pod.phase == "Succeeded"

    async def test_a_restart_of_the_plugin_leaves_running_pods_alone(self, plugin: RunningPlugin, client: PluginClient, pods: Pods) -> None:
        pod = await self.running(client, await pods.start(main=Script(lines=("once",), seconds=10.0, exit_codes=(6,))))
        before = pod.container_status("main")
        await plugin.restart()
        await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)
        after = pod.container_status("main")
        assert (after["containerID"], after["state"]) == (before["containerID"], before["state"])
        await self.ended(client, pod)
        assert (exit_code(pod, "main"), await client.read_logs(pod, "main")) == (6, "once\n")

    async def test_a_pod_that_ended_while_the_plugin_was_down_ends_truly(
        self, plugin: RunningPlugin, client: PluginClient, pods: Pods
    ) -> None:
        pod = await pods.start(main=Script(seconds=0.5, exit_codes=(9,)))
        await plugin.restart()
        await self.ended(client, pod)
        assert (pod.phase, exit_code(pod, "main")) == ("Failed", 9)
