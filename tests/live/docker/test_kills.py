"""kill -9 of the plugin between any two durable steps, on a real engine: then every pod runs as if nothing had happened, or is gone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from interlink_common.testing.bodies import VirtualPod
from interlink_common.testing.client import PluginClient
from interlink_common.testing.manifests import from_documents
from interlink_common.tracking import faultpoints
from tests.servers.docker_engine import BUSYBOX_IMAGE, DockerEngine
from tests.servers.docker_plugin import DockerPlugin

PATIENCE_SECONDS = 90.0
SCRIPT = 'echo "$WORD"; test -e /d/second && exit 0; touch /d/second; sleep 600'
"""Its first attempt lasts, its second succeeds; both say what only the whole Workload knows."""


def a_pod(script: str, **spec: Any) -> VirtualPod:
    mounts = [{"name": "d", "mountPath": "/d"}]
    main = {
        "name": "main", "image": BUSYBOX_IMAGE, "command": ["sh", "-c", script], "env": [{"name": "WORD", "value": "s3cret"}],
        "volumeMounts": mounts,
    }  # fmt: skip
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "killed"},
        "spec": {"containers": [main], "volumes": [{"name": "d", "emptyDir": {}}], "terminationGracePeriodSeconds": 1, **spec},
    }
    return VirtualPod.admit(from_documents([pod]), now=0)


@pytest.fixture
async def plugin(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[DockerPlugin]:
    plugin = DockerPlugin(engine, tmp_path)
    yield plugin
    await asyncio.to_thread(plugin.stop)


async def start(plugin: DockerPlugin, fault: str = "") -> None:
    """Starts the plugin, to be killed by itself at that fault point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(faultpoints.VARIABLE, fault)
        await asyncio.to_thread(plugin.start)


async def until(client: PluginClient, pod: VirtualPod, wanted: str | Callable[[VirtualPod], bool]) -> VirtualPod:
    return await client.wait_for(pod, wanted, timeout_seconds=PATIENCE_SECONDS)


async def until_gone(plugin: DockerPlugin, pod: VirtualPod) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await plugin.leftovers(pod.uid):  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [faultpoints.RECORDED, faultpoints.SUBMITTED, faultpoints.JID_STORED])
async def test_a_pod_survives_a_kill_during_its_create(plugin: DockerPlugin, fault: str) -> None:
    pod = a_pod('echo "$WORD"; exit 5', restartPolicy="Never")
    await start(plugin, fault)
    async with PluginClient(plugin.listen) as client:
        with pytest.raises(httpx.TransportError):
            await client.create(pod)
    await asyncio.to_thread(plugin.wait)
    await start(plugin)
    async with PluginClient(plugin.listen) as client:
        await until(client, pod, "Failed")
        assert pod.container_status("main")["state"]["terminated"]["exitCode"] == 5
        assert await client.read_logs(pod, "main") == "s3cret\n"
        await client.delete(pod)
        await until_gone(plugin, pod)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [faultpoints.DELETE_RECORDED, faultpoints.CANCELLED])
async def test_a_delete_survives_a_kill(plugin: DockerPlugin, fault: str) -> None:
    pod = a_pod("sleep 600")
    await start(plugin, fault)
    async with PluginClient(plugin.listen) as client:
        await client.create(pod)
        await until(client, pod, "Running")
        try:
            await client.delete(pod, grace_seconds=1)
        except httpx.TransportError:
            assert fault == faultpoints.DELETE_RECORDED
    await asyncio.to_thread(plugin.wait)
    await start(plugin)
    await until_gone(plugin, pod)


@pytest.mark.timeout(300)
async def test_a_sandbox_whose_create_was_never_answered_is_the_whole_pod(
    plugin: DockerPlugin, engine: DockerEngine, tmp_path: Path
) -> None:
    """While the answers of many creates wait for the disk, the engine is already at work: a kill leaves a row without a JID."""
    pod = a_pod(SCRIPT, restartPolicy="OnFailure")
    await start(plugin)
    async with PluginClient(plugin.listen) as client:
        await client.create(pod)
        await until(client, pod, "Running")
        before = pod.container_status("main")
    await asyncio.to_thread(plugin.kill)
    with sqlite3.connect(tmp_path / "state/records.sqlite3") as records:
        changed = records.execute("UPDATE pods SET intent = 'creating', jid = NULL WHERE uid = ?", (pod.uid,)).rowcount
    records.close()
    assert changed == 1
    await start(plugin)
    async with PluginClient(plugin.listen) as client:
        await until(client, pod, "Running")
        assert pod.container_status("main")["containerID"] == before["containerID"]
        with engine.client() as raw:
            raw.kill(f"interlink-{pod.uid}-main-0")
        await until(client, pod, "Succeeded")
        assert pod.container_status("main")["restartCount"] == 1
        assert await client.read_logs(pod, "main") == "s3cret\n"
        await client.delete(pod)
        await until_gone(plugin, pod)
