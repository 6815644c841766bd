"""What a newcomer types: `make try BACKEND=kueue`, and the pods of the demo through its queue, where one waits for the other."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import pytest

from tests.servers.kubernetes import Cluster

ROOT = Path(__file__).parents[3]


async def run(listen: str, name: str) -> Process:
    program = Path(sys.executable).with_name("interlink-plugin")
    return await asyncio.create_subprocess_exec(
        program, "run", f"examples/{name}.yaml", "--connect", listen, cwd=ROOT, stdout=PIPE, stderr=STDOUT
    )  # fmt: skip


async def said(process: Process) -> tuple[int | None, str]:
    output, _ = await process.communicate()
    return process.returncode, output.decode()


def until_there(socket: Path) -> None:
    deadline = time.monotonic() + 60
    while not socket.is_socket():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.timeout(300)
async def test_the_demo_pods_go_through_a_queue(cluster: Cluster) -> None:
    """With its own cluster; `cluster` is asked for because it skips where there can be none."""
    environment = os.environ | {"INTERLINK_PLUGIN_TELEMETRY__LISTEN": "null"}
    trying = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.try_backend", "kueue", cwd=ROOT, env=environment, stdout=PIPE, stderr=STDOUT
    )
    try:
        assert trying.stdout is not None
        output = ""
        while "--connect" not in output:
            line = (await trying.stdout.readline()).decode()
            assert line, output
            output += line
        listen = output.partition("--connect ")[2].split()[0]
        await asyncio.to_thread(until_there, Path(listen.removeprefix("unix://")))
        web = await run(listen, "web")
        await asyncio.sleep(2)
        batch, failing = await said(await run(listen, "batch")), await said(await run(listen, "failing"))
        assert (await said(web))[0] == 0
        assert batch[0] == 0, batch[1]
        assert "Queued (queue demo: couldn't assign flavors to pod set main: insufficient unused quota for pods" in batch[1], batch[1]
        assert "the sum is 42" in batch[1]
        assert failing[0] == 3, failing[1]
        assert "the input file is missing" in failing[1]
    finally:
        trying.send_signal(signal.SIGTERM)
        await trying.communicate()
