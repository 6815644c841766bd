"""The lifecycle table on a real engine: only its events wake the agent, for the resync is longer than any case."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from interlink_common.agent.agent import NodeAgent
from interlink_common.testing.lifecycle_cases import CASES, SHORT, LifecycleCase, run_case, shortfalls
from interlink_docker.client import Engine
from interlink_docker.events import Events
from interlink_docker.runtime import DockerRuntime
from tests.live.docker.node import NOTHING_LEFT, Node
from tests.servers.docker_engine import BUSYBOX_IMAGE, DockerEngine

REAL = [case.with_image(BUSYBOX_IMAGE) for case in CASES if not case.fake_only]


@pytest_asyncio.fixture
async def agent(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[NodeAgent]:
    """Wired to the engine as the backend does it, with short times. Nothing may be left behind."""
    node = Node(engine, tmp_path / "state")
    client = Engine(node.settings.engine)
    await client.connect()
    runtime = DockerRuntime(client, node.settings, as_root=True, seccomp_profiles={})
    saved: dict[str, str] = {}
    agent = NodeAgent(runtime, save=saved.__setitem__, timing=SHORT, resync_seconds=3600)

    def changed(uid: str, container_id: str) -> None:
        runtime.note_event(uid, container_id)
        agent.wake(uid)

    events = Events(client, node.settings.instance, node.settings.engine, on_pod=changed, on_connected=agent.wake_all, on_lost=pytest.fail)
    events.start()
    yield agent
    await events.close()
    await agent.close()
    await runtime.close()
    await client.close()
    assert node.leftovers() == NOTHING_LEFT


@pytest.mark.parametrize("case", REAL, ids=[case.name for case in REAL])
async def test_case(case: LifecycleCase, agent: NodeAgent) -> None:
    assert shortfalls(case, await run_case(case, agent)) == []
