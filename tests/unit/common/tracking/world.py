"""A virtual node over the scripted site, without HTTP: bodies as the real client makes them, answers judged as it would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from interlink_common.serve.server import running_node
from interlink_common.settings import PluginSettings
from interlink_common.testing.scripted import ScriptedBackend, Site
from interlink_common.testing.scripts import Script
from interlink_common.tracking.node import VirtualNode
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.judge import judge_status
from interlink_common.virtualkubelet.manifests import from_documents

FOREVER = Script(seconds=None)


def make_pod(name: str = "p", *, script: Script = FOREVER, inits: dict[str, Script] | None = None, **spec: Any) -> VirtualPod:
    containers = [{"name": "main", "image": "i", "command": script.command()}]
    init_containers = [{"name": n, "image": "i", "command": s.command()} for n, s in (inits or {}).items()]
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"restartPolicy": "Never", "containers": containers, "initContainers": init_containers, **spec},
    }
    return VirtualPod.admit(from_documents([document]), now=0)


async def eventually(check: Callable[[], Any]) -> None:
    """Waits until `check()` is true; the test's own timeout ends it."""
    while not check():  # noqa: ASYNC110  what is awaited has no event
        await asyncio.sleep(0.01)


class World:
    """One site, one state directory; plugins come and go."""

    def __init__(self, state_dir: Path) -> None:
        self.site = Site()
        self.state_dir = state_dir

    def settings(self, **changes: Any) -> PluginSettings:
        return PluginSettings(state_dir=self.state_dir, node_name="vk", **changes)

    @asynccontextmanager
    async def plugin(self, *, recovered: bool = True, **changes: Any) -> AsyncIterator[VirtualNode]:
        settings = self.settings(**changes)
        async with running_node(ScriptedBackend(settings, self.site), settings) as node:
            if recovered:
                await eventually(lambda: node.registry.recovered)
            yield node


async def create(node: VirtualNode, pod: VirtualPod) -> str:
    answer = json.loads(await node.create(json.dumps(pod.create_body()).encode()))
    pod.created(answer["PodUID"], answer["PodJID"])
    return str(answer["PodJID"])


async def delete(node: VirtualNode, pod: VirtualPod, grace_seconds: int | None = None) -> None:
    await node.delete(json.dumps(pod.delete_body(now=0, grace_seconds=grace_seconds)).encode())


def status(node: VirtualNode, pod: VirtualPod) -> VirtualPod:
    """One judged status round."""
    judge_status(pod, node.status(json.dumps(pod.status_body()).encode()))
    return pod


async def until_phase(node: VirtualNode, pod: VirtualPod, phase: str) -> None:
    await eventually(lambda: status(node, pod).phase == phase)
