"""kill -9 of the plugin between any two durable steps, on a real engine: then every pod runs as if nothing had happened, or is gone."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from interlink_common import faultpoints
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from interlink_common.virtualkubelet.manifests import from_documents
from tests.live.kills import PATIENCE_SECONDS, is_deleted_in_spite_of_a_kill, start, survives_a_kill_during_its_create, until_gone
from tests.servers.docker_engine import BUSYBOX_IMAGE, DockerEngine
from tests.servers.docker_plugin import DockerPlugin

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


async def until(client: PluginClient, pod: VirtualPod, wanted: str | Callable[[VirtualPod], bool]) -> VirtualPod:
    return await client.wait_for(pod, wanted, timeout_seconds=PATIENCE_SECONDS)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [faultpoints.RECORDED, faultpoints.SUBMITTED, faultpoints.JID_STORED])
async def test_a_pod_survives_a_kill_during_its_create(plugin: DockerPlugin, fault: str) -> None:
    await survives_a_kill_during_its_create(plugin, fault, a_pod('echo "$WORD"; exit 5', restartPolicy="Never"), "s3cret\n")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [faultpoints.DELETE_RECORDED, faultpoints.CANCELLED])
async def test_a_delete_survives_a_kill(plugin: DockerPlugin, fault: str) -> None:
    await is_deleted_in_spite_of_a_kill(plugin, fault, a_pod("sleep 600"))


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
