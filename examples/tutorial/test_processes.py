"""Tests of the tutorial's backend: a real server, and a client that acts as interLink and its virtual kubelet, which judges each status."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from examples.tutorial.processes import ProcessBackend
from interlink_common.serve.server import serve
from interlink_common.settings import PluginSettings, TelemetrySettings
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import CallError, PluginClient
from interlink_common.virtualkubelet.manifests import load_manifests

MANIFEST = """
apiVersion: v1
kind: Pod
metadata: {{name: hello}}
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: none
      command: {command}
"""


def pod(command: str) -> VirtualPod:
    return VirtualPod.admit(load_manifests(MANIFEST.format(command=command)), now=0)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[PluginClient]:
    listen = f"unix://{tmp_path}/plugin.sock"
    settings = PluginSettings(listen=listen, state_dir=tmp_path / "state", telemetry=TelemetrySettings(listen=None))
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(ProcessBackend(settings), settings, ready=ready))
    await ready.wait()
    async with PluginClient(listen) as connected:
        yield connected
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def test_a_pod_runs_and_its_log_is_read(client: PluginClient) -> None:
    hello = pod("[sh, -c, 'echo hello; echo world']")
    await client.create(hello)
    await client.wait_for(hello, "Succeeded")
    assert await client.read_logs(hello, "main") == "hello\nworld\n"
    assert await client.read_logs(hello, "main", tail=1) == "world\n"


async def test_its_exit_code_is_reported(client: PluginClient) -> None:
    failing = pod("[sh, -c, 'exit 3']")
    await client.create(failing)
    await client.wait_for(failing, "Failed")
    assert failing.container_status("main")["state"]["terminated"]["exitCode"] == 3


async def test_a_follower_reads_until_the_pod_is_deleted(client: PluginClient) -> None:
    endless = pod("[sh, -c, 'echo started; exec sleep 1000']")
    await client.create(endless)
    chunks = client.logs(endless, "main", follow=True)
    assert await anext(chunks) == b"started\n"
    await client.delete(endless, grace_seconds=5)
    assert [chunk async for chunk in chunks] == []


async def test_a_pod_without_a_command_is_refused(client: PluginClient) -> None:
    with pytest.raises(CallError, match=r"command must be set") as caught:
        await client.create(pod("[]"))
    assert caught.value.code == 422
