"""A plugin whose pods run for ever: what remains to be measured is the library. Usage: steady.py SOCKET STATE_DIR."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from benchmarks.wire import sample_lag
from interlink_common.backend import Backend, Capabilities, FoundJob, Job, LogQuery, NodeCapacity, Observation, Support, in_slices
from interlink_common.model.report import ContainerReport, PodReport, Running
from interlink_common.model.workload import Workload
from interlink_common.serve.server import run
from interlink_common.settings import PluginSettings, TelemetrySettings


def running(workload: Workload) -> PodReport:
    return PodReport(
        tuple(
            ContainerReport(c.name, Running(1.0), ready=True, started=True, image=c.image, image_id="sha256:0") for c in workload.containers
        )
    )


class SteadyBackend(Backend):
    """Every pod is running as soon as it is submitted."""

    name = "steady"
    capabilities = Capabilities(files_volumes=Support.YES, restart_policies=frozenset({"Never", "Always", "OnFailure"}))

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._news: asyncio.Queue[Observation] = asyncio.Queue()
        self._jobs: dict[str, str] = {}
        self._lags: list[float] = []
        self._sampler: asyncio.Task[None] | None = None

    async def start(self, jobs: Sequence[Job]) -> None:
        self._sampler = asyncio.create_task(sample_lag(self._lags))
        async for some in in_slices(jobs):
            for job in some:
                await self.submit(job.workload)

    async def submit(self, workload: Workload) -> str:
        self._jobs[workload.uid] = workload.uid
        self._news.put_nowait(Observation(workload.uid, running(workload)))
        return workload.uid

    async def inventory(self) -> Sequence[FoundJob]:
        return [FoundJob(uid, jid) for uid, jid in self._jobs.items()]

    async def observe(self) -> AsyncIterator[Observation]:
        while True:
            yield await self._news.get()

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:  # noqa: ARG002  the seam's signature
        yield b""

    async def cancel(self, job: Job, grace_seconds: int) -> None:  # noqa: ARG002  the seam's signature
        self._jobs.pop(job.pod_uid, None)

    async def close(self) -> None:
        if self._sampler:
            self._sampler.cancel()
        (self.settings.state_dir / "lag.json").write_text(json.dumps(self._lags))

    async def capacity(self) -> NodeCapacity:
        return NodeCapacity(pods=100_000)


if __name__ == "__main__":
    quiet = TelemetrySettings(log_level="warning", listen=None)
    chosen = PluginSettings(listen=f"unix://{sys.argv[1]}", state_dir=Path(sys.argv[2]), telemetry=quiet)
    run(SteadyBackend(chosen), chosen)
