"""The contract suite on the scripted backend, served for real on a unix socket: what the library does without a backend's help."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from interlink_common.backend import Capabilities
from interlink_common.errors import Refused
from interlink_common.serve.server import serve
from interlink_common.settings import PluginSettings, TelemetrySettings
from interlink_common.testing.contract_suite import PluginContract, Pods, RunningPlugin
from interlink_common.testing.contract_suite.pods import exit_code
from interlink_common.testing.scripted import ScriptedBackend, Site
from interlink_common.testing.scripts import Script
from interlink_common.virtualkubelet.client import CallError, PluginClient

pytestmark = pytest.mark.slow


class ServedInProcess(RunningPlugin):
    """The plugin as a task of the test's own loop. Its site outlives it, so a restart is one; a kill is played by cancelling."""

    def __init__(self, directory: Path) -> None:
        self.site = Site()
        self.settings = PluginSettings(
            listen=f"unix://{directory}/plugin.sock", state_dir=directory / "state", telemetry=TelemetrySettings(listen=None)
        )
        self.listen = self.settings.listen
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        ready = asyncio.Event()
        self._serving = asyncio.create_task(serve(ScriptedBackend(self.settings, self.site), self.settings, ready=ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._serving.done():
            await self._serving

    async def stop(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    async def leftovers(self, pod_uid: str) -> list[str]:
        return [f"job {job.jid}" for uid, job in self.site.jobs.items() if uid == pod_uid]


class TestScripted(PluginContract):
    @pytest.fixture
    async def plugin(self, tmp_path: Path) -> AsyncIterator[ServedInProcess]:
        plugin = ServedInProcess(tmp_path)
        await plugin.start()
        yield plugin
        await plugin.stop()
        await plugin.site.close()

    @pytest.fixture
    def capabilities(self) -> Capabilities:
        return ScriptedBackend.capabilities

    def container(self, name: str, image: str, script: Script) -> dict[str, Any]:
        return {"name": name, "image": image, "command": script.command()}

    async def test_a_lost_answer_starts_the_pod_once(self, plugin: ServedInProcess, client: PluginClient, pods: Pods) -> None:
        plugin.site.lost_answers = 1
        pod = await pods.start(main=Script(lines=("once",)))
        await client.wait_for(pod, "Succeeded")
        assert plugin.site.submits == [pod.uid]

    async def test_an_outage_of_the_backend_freezes_states(self, plugin: ServedInProcess, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=Script(seconds=0.5, exit_codes=(3,)))
        await client.wait_for(pod, "Running")
        plugin.site.set_reachable(False)
        (job,) = plugin.site.jobs.values()
        while not job.finished:
            assert await client.status(pod) == "Running"
            assert (await client.ping())["status"] == "ok"
        assert await client.status(pod) == "Running"
        plugin.site.set_reachable(True)
        await client.wait_for(pod, "Failed")
        assert exit_code(pod, "main") == 3

    async def test_a_pod_created_during_an_outage_runs_after_it(self, plugin: ServedInProcess, client: PluginClient, pods: Pods) -> None:
        plugin.site.set_reachable(False)
        await plugin.restart()
        pod = await pods.start(main=Script())
        assert (await client.status(pod), plugin.site.submits) == ("Pending", [])
        plugin.site.set_reachable(True)
        await client.wait_for(pod, "Succeeded")

    async def test_a_backend_that_says_no_fails_the_create(self, plugin: ServedInProcess, client: PluginClient, pods: Pods) -> None:
        plugin.site.submit_errors.append(Refused("the queue <short> does not exist & won't;\nask the operator."))
        with pytest.raises(CallError, match=r"the queue .short. does not exist") as caught:
            await pods.start(main=Script())
        assert (caught.value.code, plugin.site.jobs) == (422, {})

    async def test_delete_wins_over_a_submit_that_hangs(self, plugin: ServedInProcess, client: PluginClient, pods: Pods) -> None:
        plugin.site.submits_pass.clear()
        pod = pods.make(main=Script(seconds=None))
        creating = asyncio.create_task(client.create(pod))
        while (await client.send("GET", "/status", pod.status_body())).json() == []:
            pass
        await client.delete(pod)
        plugin.site.submits_pass.set()
        with pytest.raises(CallError) as caught:
            await creating
        assert caught.value.code == 410
        await self.emptied(plugin, pod.uid)
