"""The part of the contract suite about logs: kubectl's options on running and ended containers, and streams that end."""

from __future__ import annotations

import asyncio
import re

import pytest

from interlink_common.backend import Capabilities
from interlink_common.testing.contract_suite.base import PATIENCE_SECONDS, ContractBase, Pods, needs
from interlink_common.testing.scripts import Script
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import CallError, PluginClient

LINES = ("one", "two", "three ü", "four")
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)"


def _has_ended_once(pod: VirtualPod) -> bool:
    return bool(pod.container_status("main").get("lastState", {}).get("terminated"))


class LogContract(ContractBase):
    async def spoken(self, client: PluginClient, pods: Pods) -> VirtualPod:
        """A pod that said LINES and ended."""
        pod = await pods.start(main=Script(lines=LINES))
        return await client.wait_for(pod, "Succeeded", timeout_seconds=PATIENCE_SECONDS)

    async def test_the_whole_log(self, client: PluginClient, pods: Pods) -> None:
        pod = await self.spoken(client, pods)
        assert await client.read_logs(pod, "main") == "one\ntwo\nthree ü\nfour\n"

    async def test_tail_counts_lines_from_the_end(self, client: PluginClient, pods: Pods) -> None:
        pod = await self.spoken(client, pods)
        assert [await client.read_logs(pod, "main", tail=tail) for tail in (1, 2, 99)] == [
            "four\n", "three ü\nfour\n", "one\ntwo\nthree ü\nfour\n",
        ]  # fmt: skip

    async def test_limit_bytes_keeps_the_first_bytes_of_what_is_selected(self, client: PluginClient, pods: Pods) -> None:
        pod = await self.spoken(client, pods)
        assert await client.read_logs(pod, "main", limit_bytes=6) == "one\ntw"
        assert await client.read_logs(pod, "main", limit_bytes=2, tail=1) == "fo"

    async def test_timestamps_precede_every_line(self, client: PluginClient, pods: Pods) -> None:
        pod = await self.spoken(client, pods)
        lines = (await client.read_logs(pod, "main", timestamps=True)).splitlines()
        assert [re.sub(rf"^{STAMP} ", "", line) for line in lines] == list(LINES)
        assert all(re.match(rf"{STAMP} ", line) for line in lines)

    async def test_since_leaves_out_what_is_older(self, client: PluginClient, pods: Pods) -> None:
        pod = await self.spoken(client, pods)
        whole = "one\ntwo\nthree ü\nfour\n"
        assert await client.read_logs(pod, "main", since_seconds=3600) == whole
        assert await client.read_logs(pod, "main", since_time="2000-01-01T00:00:00Z") == whole
        assert await client.read_logs(pod, "main", since_time="2999-01-01T00:00:00Z") == ""
        assert await client.read_logs(pod, "main", since_time="2000-01-01T00:00:00Z", tail=1) == "four\n"

    async def test_the_log_of_a_running_container(self, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=Script(lines=("here",), seconds=None))
        await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await client.read_logs(pod, "main") != "here\n":  # noqa: ASYNC110  the event is in another process
                await asyncio.sleep(0.1)

    async def test_each_container_has_its_own_log_inits_too(self, client: PluginClient, pods: Pods, capabilities: Capabilities) -> None:
        needs(capabilities.init_containers, "init containers")
        needs(capabilities.several_containers, "several containers")
        pod = await pods.start(inits={"i": Script(lines=("i",))}, a=Script(lines=("a",)), b=Script(lines=("b",)))
        await client.wait_for(pod, "Succeeded", timeout_seconds=PATIENCE_SECONDS)
        assert [await client.read_logs(pod, name) for name in "iab"] == ["i\n", "a\n", "b\n"]

    async def test_previous_of_a_container_that_waits_for_its_next_attempt_is_its_last(
        self, client: PluginClient, pods: Pods, capabilities: Capabilities
    ) -> None:
        """`kubectl logs --previous` is what people type in a CrashLoopBackOff."""
        needs("Always" in capabilities.restart_policies, "restartPolicy Always")
        pod = await pods.start(policy="Always", main=Script(lines=("said",), exit_codes=(1,)))
        await client.wait_for(pod, _has_ended_once, timeout_seconds=PATIENCE_SECONDS)
        assert await client.read_logs(pod, "main", previous=True) == "said\n"

    async def test_previous_of_an_ended_container_is_the_attempt_before_the_last(
        self, client: PluginClient, pods: Pods, capabilities: Capabilities
    ) -> None:
        needs("OnFailure" in capabilities.restart_policies, "restartPolicy OnFailure")
        pod = await pods.start(policy="OnFailure", main=Script(lines=("said",), exit_codes=(1, 0)))
        await client.wait_for(pod, "Succeeded", timeout_seconds=PATIENCE_SECONDS)
        assert await client.read_logs(pod, "main", previous=True) == "said\n"

    async def test_previous_without_an_earlier_attempt_is_an_error(self, client: PluginClient, pods: Pods) -> None:
        pod = await self.spoken(client, pods)
        with pytest.raises(CallError) as caught:
            await client.read_logs(pod, "main", previous=True)
        assert 400 <= caught.value.code < 500

    @pytest.mark.parametrize("known", [True, False], ids=["unknown container", "unknown pod"])
    async def test_a_log_that_is_not_there_is_an_error(self, client: PluginClient, pods: Pods, known: bool) -> None:
        pod = await self.spoken(client, pods) if known else pods.make(main=Script())
        with pytest.raises(CallError) as caught:
            await client.read_logs(pod, "nobody" if known else "main")
        assert 400 <= caught.value.code < 500

    async def test_follow_brings_every_line_and_ends_with_the_container(self, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=Script(lines=LINES, line_seconds=0.2))
        await client.wait_for(pod, lambda seen: seen.phase != "Pending", timeout_seconds=PATIENCE_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await client.read_logs(pod, "main", follow=True) == "one\ntwo\nthree ü\nfour\n"

    async def test_follow_of_an_ended_container_ends(self, client: PluginClient, pods: Pods) -> None:
        pod = await self.spoken(client, pods)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await client.read_logs(pod, "main", follow=True, tail=1) == "four\n"

    async def test_follow_ends_when_the_pod_is_deleted(self, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=Script(lines=("here",), seconds=None))
        await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            stream = client.logs(pod, "main", follow=True)
            assert await anext(stream) == b"here\n"
            await client.delete(pod, grace_seconds=1)
            async for _ in stream:
                pass
