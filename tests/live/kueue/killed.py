"""A plugin that is killed -9 at a fault point, and starts again."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from interlink_common.testing.bodies import VirtualPod
from interlink_common.testing.client import PluginClient
from interlink_common.testing.manifests import from_documents
from interlink_common.tracking import faultpoints
from tests.live.kueue.remote import PATIENCE_SECONDS
from tests.servers.kubernetes_node import BUSYBOX_IMAGE
from tests.servers.kubernetes_plugin import KubernetesPlugin


def virtual_pod(script: str, **spec: Any) -> VirtualPod:
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "word"}, "data": {"word": "s3cret"}}
    main = {
        "name": "main", "image": BUSYBOX_IMAGE, "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "cm", "mountPath": "/cm"}],
    }  # fmt: skip
    volumes = [{"name": "cm", "configMap": {"name": "word"}}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "killed"},
        "spec": {"containers": [main], "volumes": volumes, "terminationGracePeriodSeconds": 1, **spec},
    }
    return VirtualPod.admit(from_documents([config_map, pod]), now=0)


async def start(plugin: KubernetesPlugin, fault: str = "") -> None:
    """Starts the plugin, to be killed by itself at that fault point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(faultpoints.VARIABLE, fault)
        await asyncio.to_thread(plugin.start)


async def until_gone(plugin: KubernetesPlugin, pod: VirtualPod) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await plugin.leftovers(pod.uid):  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.1)


async def survives_a_kill_during_its_create(plugin: KubernetesPlugin, fault: str) -> None:
    pod = virtual_pod("cat /cm/word; exit 5", restartPolicy="Never")
    await start(plugin, fault)
    async with PluginClient(plugin.listen) as client:
        with pytest.raises(httpx.TransportError):
            await client.create(pod)
    await asyncio.to_thread(plugin.wait)
    await start(plugin)
    async with PluginClient(plugin.listen) as client:
        await client.wait_for(pod, "Failed", timeout_seconds=PATIENCE_SECONDS)
        assert pod.container_status("main")["state"]["terminated"]["exitCode"] == 5
        assert await client.read_logs(pod, "main") == "s3cret"
        await client.delete(pod)
        await until_gone(plugin, pod)
