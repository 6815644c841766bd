"""The example plugin in front of a real Slurm, and the hands of the cluster's administrator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from interlink_common.virtualkubelet.bodies import VirtualPod
from tests.live.site import Site as BatchSite
from tests.servers.slurm import Cluster
from tests.servers.slurm_plugin import POD_IMAGE, SlurmPlugin


class Site(BatchSite[SlurmPlugin]):
    """`settings` as in `SlurmPlugin`."""

    def __init__(self, cluster: Cluster, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        self.cluster = cluster
        super().__init__(SlurmPlugin(cluster, settings), directory, POD_IMAGE)

    async def run(self, command: str) -> str:
        return (await asyncio.to_thread(self.cluster.run, command)).strip()

    def number(self, pod: VirtualPod) -> str:
        """Of the pod's job, as Slurm knows it."""
        return self.job(pod).partition("/")[0]

    async def end_job(self, pod: VirtualPod) -> None:
        await self.run(f"scancel {self.number(pod)}")

    async def kill_podrunners(self) -> None:
        await self.run("pkill -KILL -f '[ ]-I -S -B .*/job/start.sh'")

    @asynccontextmanager
    async def services_down(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self.cluster.stop_services)
        try:
            yield
        finally:
            await asyncio.to_thread(self.cluster.start_services)

    @asynccontextmanager
    async def network_cut(self) -> AsyncIterator[None]:
        self.cluster.pause()
        try:
            yield
        finally:
            self.cluster.unpause()

    async def starts(self, pod: VirtualPod) -> int:
        """Slurm shows a job for five minutes after its end; one that never started has no node."""
        return len((await self.run(f"squeue --noheader --states=all --name=interlink-{pod.uid} --format=%N")).split())

    async def start_foreign_job(self) -> str:
        return await self.run("sbatch --parsable --output=/dev/null --wrap='sleep 600'")

    async def has_foreign_job(self, job: str) -> bool:
        return await self.run(f"squeue --noheader --jobs={job} --format=%T") == "RUNNING"

    async def end_foreign_job(self, job: str) -> None:
        await self.run(f"scancel {job}")
