"""A plugin for each test."""

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
from interlink_common.virtualkubelet.client import PluginClient
from tests.unit.common.serve.plugin import Plugin, StartPlugin


@pytest.fixture
def start(tmp_path: Path) -> StartPlugin:
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
async def plugin(start: StartPlugin) -> AsyncIterator[Plugin]:
    async with start() as plugin:
        yield plugin
