"""The process as a whole: it starts, tells of itself on its own listener, and stops in order while somebody follows a log."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from interlink_common.errors import ConfigurationError
from interlink_common.serve.server import serve
from interlink_common.settings import PluginSettings, TelemetrySettings
from interlink_common.testing.scripted import ScriptedBackend
from interlink_common.virtualkubelet.client import PluginClient
from tests.unit.common.serve.plugin import Plugin


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def process(tmp_path: Path, telemetry: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    listen = f"unix://{tmp_path}/p.sock"
    program = str(Path(__file__).with_name("process.py"))
    child = await asyncio.create_subprocess_exec(
        sys.executable, program, str(tmp_path / "state"), listen, telemetry, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield child, listen
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def ready(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                if (await http.get(f"{url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_in_order_while_a_log_is_followed(tmp_path: Path, plugin: Plugin, number: signal.Signals) -> None:
    telemetry = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "own").mkdir()
    async with process(tmp_path / "own", telemetry) as (child, listen), PluginClient(listen) as client:
        await ready(telemetry)
        pod = plugin.pod(lines=("one",), seconds=None)
        await client.create(pod)
        await client.wait_for(pod, "Running")
        stream = client.logs(pod, "main", follow=True)
        assert await anext(stream) == b"one\n"
        async with httpx.AsyncClient(trust_env=False) as http:
            metrics = (await http.get(f"{telemetry}/metrics")).text
            assert (await http.get(f"{telemetry}/healthz")).text == "ok\n"
            assert (await http.get(f"{telemetry}/other")).status_code == 404
        assert 'interlink_pods{state="active"} 1.0' in metrics
        assert 'interlink_requests_total{code="200",route="/create"} 1.0' in metrics
        assert "interlink_backend_up 1.0" in metrics
        child.send_signal(number)
        assert [chunk async for chunk in stream] == []
        _, errors = await child.communicate()
    lines = [json.loads(line) for line in errors.decode().splitlines()]
    assert child.returncode == 0, errors.decode()
    assert not (tmp_path / "own" / "p.sock").exists()
    created = next(line for line in lines if line.get("path") == "/create")
    assert created["request_id"].startswith("CreatePod#")
    assert [line["event"] for line in lines if line["event"] in ("serving", "stopping")] == ["serving", "stopping"]
    assert not any(line["level"] == "error" for line in lines)


async def test_not_ready_while_the_backend_was_never_seen(tmp_path: Path) -> None:
    port = free_port()
    telemetry = TelemetrySettings(listen=f"http://127.0.0.1:{port}")
    settings = PluginSettings(state_dir=tmp_path, listen=f"unix://{tmp_path}/p.sock", telemetry=telemetry)
    backend, started = ScriptedBackend(settings), asyncio.Event()
    backend.site.set_reachable(False)
    serving = asyncio.create_task(serve(backend, settings, ready=started))
    await started.wait()
    async with httpx.AsyncClient(trust_env=False) as http:
        while "unreachable since" not in (answer := await http.get(f"http://127.0.0.1:{port}/readyz")).text:  # noqa: ASYNC110  no event for it
            await asyncio.sleep(0.01)
    assert answer.status_code == 503
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_a_taken_telemetry_port_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        telemetry = TelemetrySettings(listen=f"http://127.0.0.1:{taken.getsockname()[1]}")
        settings = PluginSettings(state_dir=tmp_path / "s", listen=f"unix://{tmp_path}/p.sock", telemetry=telemetry)
        with pytest.raises(ConfigurationError, match=r"telemetry\.listen"):
            await serve(ScriptedBackend(settings), settings)
    assert not (tmp_path / "p.sock").exists()
