"""A plugin that kills itself (-9) at a fault point, and starts again: on every backend the same has to come of its pods."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from interlink_common import faultpoints
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from tests.servers.plugin import PluginProcess

PATIENCE_SECONDS = 90.0


async def start(plugin: PluginProcess, fault: str = "") -> None:
    """Starts the plugin, to be killed by itself at that fault point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(faultpoints.VARIABLE, fault)
        await asyncio.to_thread(plugin.start)


async def until_gone(plugin: PluginProcess, pod: VirtualPod) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await plugin.leftovers(pod.uid):  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.1)


async def survives_a_kill_during_its_create(plugin: PluginProcess, fault: str, pod: VirtualPod, said: str) -> None:
    """`pod` has to exit with 5 and to say `said`."""
    await start(plugin, fault)
    async with PluginClient(plugin.listen) as client:
        with pytest.raises(httpx.TransportError):
            await client.create(pod)
    await asyncio.to_thread(plugin.wait)
    await start(plugin)
    async with PluginClient(plugin.listen) as client:
        await client.wait_for(pod, "Failed", timeout_seconds=PATIENCE_SECONDS)
        assert pod.container_status("main")["state"]["terminated"]["exitCode"] == 5
        assert await client.read_logs(pod, "main") == said
        await client.delete(pod)
        await until_gone(plugin, pod)


async def is_deleted_in_spite_of_a_kill(plugin: PluginProcess, fault: str, pod: VirtualPod) -> None:
    """`pod` has to run until it is deleted."""
    await start(plugin, fault)
    async with PluginClient(plugin.listen) as client:
        await client.create(pod)
        await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)
        try:
            await client.delete(pod, grace_seconds=1)
        except httpx.TransportError:
            assert fault == faultpoints.DELETE_RECORDED
    await asyncio.to_thread(plugin.wait)
    await start(plugin)
    await until_gone(plugin, pod)
