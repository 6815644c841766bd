"""A plugin in front of a pool, pods for it, and a look at their jobs from the pool's side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from interlink_common.virtualkubelet.bodies import VirtualPod
from tests.live.site import FOREVER, PATIENCE_SECONDS, exit_code, state, until
from tests.live.site import Site as BatchSite
from tests.servers.htcondor import Pool
from tests.servers.htcondor_plugin import POD_IMAGE, HTCondorPlugin

__all__ = ["FOREVER", "PATIENCE_SECONDS", "Site", "exit_code", "state", "until"]


class Site(BatchSite[HTCondorPlugin]):
    """`settings` as in `HTCondorPlugin`."""

    def __init__(self, pool: Pool, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.pool = pool
        super().__init__(HTCondorPlugin(pool, directory, settings), directory, POD_IMAGE)

    async def condor(self, command: str) -> str:
        """A command of HTCondor's, as its administrator."""
        return await asyncio.to_thread(self.pool.run, command)

    async def attribute(self, pod: VirtualPod, name: str) -> str:
        """An attribute of the pod's job."""
        return (await self.condor(f"condor_q -allusers {self.job(pod)} -af:r {name}")).strip()
