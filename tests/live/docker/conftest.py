"""One private engine for all live tests, and a backend per test that must leave nothing behind."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from docker.transport.unixconn import UnixHTTPConnection

from tests.live.docker.node import NOTHING_LEFT, Node
from tests.servers.docker_engine import DockerEngine, unavailable

StartNode = Callable[..., Awaitable[Node]]


@pytest.fixture(scope="session", autouse=True)
def _close_refused_sockets() -> Iterator[None]:
    """The SDK forgets a socket that could not connect; its ResourceWarning, an error here, would hit whatever runs next."""
    forgetful = UnixHTTPConnection.connect

    def connect(connection: UnixHTTPConnection) -> None:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(connection.unix_socket)
        forgetful(connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UnixHTTPConnection, "connect", connect)
        yield


@pytest.fixture(scope="session")
def engine() -> Iterator[DockerEngine]:
    reason = unavailable()
    if reason:
        pytest.skip(reason)
    running = DockerEngine()
    try:
        running.start()
        running.install_images()
        yield running
    finally:
        running.remove()


@pytest_asyncio.fixture
async def start_node(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[StartNode]:
    """Starts backends with the settings a test needs; afterwards their pods are deleted and nothing may be left."""
    nodes: list[Node] = []

    async def start(on: DockerEngine | None = None, **groups: Any) -> Node:
        node = Node(on or engine, tmp_path / f"state-{len(nodes)}", **groups)
        await node.start()
        nodes.append(node)
        return node

    yield start
    for node in nodes:
        await node.delete_all()
        await node.stop()
    left = [node.leftovers() for node in nodes]
    if left != [NOTHING_LEFT] * len(nodes):
        engine.remove_containers()  # or every later test would find them
    assert left == [NOTHING_LEFT] * len(nodes)


@pytest_asyncio.fixture
async def node(start_node: StartNode) -> Node:
    return await start_node()
