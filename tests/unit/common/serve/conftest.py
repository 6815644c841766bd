"""A whole plugin on a unix socket, over the scripted site."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from interlink_common.serve.app import create_app
from interlink_common.serve.listeners import Server, bind
from interlink_common.serve.server import running_node
from interlink_common.settings import PluginSettings
from interlink_common.testing.scripted import ScriptedBackend, Site
from interlink_common.testing.scripts import Script
from interlink_common.tracking.node import VirtualNode
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from interlink_common.virtualkubelet.manifests import from_documents


class Plugin:
    def __init__(self, node: VirtualNode, client: PluginClient, site: Site, server: Server) -> None:
        self.node, self.client, self.site, self.server = node, client, site, server

    @staticmethod
    def pod(name: str = "p", **script: Any) -> VirtualPod:
        container = {"name": "main", "image": "i", "command": Script(**script).command()}
        document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        }
        return VirtualPod.admit(from_documents([document]), now=0)


@pytest.fixture
def start(tmp_path: Path) -> Any:
    @asynccontextmanager
    async def start(**changes: Any) -> AsyncIterator[Plugin]:
        settings = PluginSettings(state_dir=tmp_path / "state", listen=f"unix://{tmp_path}/p.sock", **changes)
        site = Site()
        async with running_node(ScriptedBackend(settings, site), settings) as node, PluginClient(settings.listen) as client:
            await node.registry.backend.tried.wait()
            listener = bind(settings.listen)
            server = Server(create_app(node))
            serving = asyncio.create_task(server.serve(sockets=[listener.socket]))
            try:
                yield Plugin(node, client, site, server)
            finally:
                node.stop_streams()
                server.should_exit = True
                await serving
                listener.close()
        await site.close()

    return start


@pytest.fixture
async def plugin(start: Any) -> AsyncIterator[Plugin]:
    async with start() as plugin:
        yield plugin
