"""A plugin in front of a pool, pods for it, and a look at their jobs from the pool's side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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

    async def end_job(self, pod: VirtualPod) -> None:
        await self.condor(f"condor_rm -reason 'too much of it' {self.job(pod)}")

    async def kill_podrunners(self) -> None:
        await self.condor("pkill -KILL -f '[p]odrunner.pyz'")

    @asynccontextmanager
    async def services_down(self) -> AsyncIterator[None]:
        """condor_master, the container's first process, would start the schedd again at once."""
        await asyncio.to_thread(self.pool.signal, "SIGSTOP")
        await self.condor("pkill -KILL -x condor_schedd")
        try:
            yield
        finally:
            await asyncio.to_thread(self.pool.signal, "SIGCONT")
            await asyncio.to_thread(self.pool.wait_until_up)

    @asynccontextmanager
    async def network_cut(self) -> AsyncIterator[None]:
        self.pool.pause()
        try:
            yield
        finally:
            self.pool.unpause()

    async def starts(self, pod: VirtualPod) -> int:
        ours = f"-constraint 'InterLinkPodUid == \"{pod.uid}\"' -af NumShadowStarts"
        found = (await self.condor(f"condor_q -allusers {ours}; condor_history {ours}")).split()
        return sum(int(number) for number in found if number.isdecimal())

    async def start_foreign_job(self) -> str:
        description = "executable=/bin/sleep\\narguments=600\\nqueue\\n"
        told = await self.condor(f"cd /tmp && printf '{description}' > foreign && su site -c 'condor_submit -terse foreign'")
        return told.split()[0]

    async def has_foreign_job(self, job: str) -> bool:
        return bool((await self.condor(f"condor_q -allusers {job} -af ClusterId")).strip())

    async def end_foreign_job(self, job: str) -> None:
        await self.condor(f"condor_rm {job}; condor_rm -forcex {job} || true")

    async def attribute(self, pod: VirtualPod, name: str) -> str:
        """An attribute of the pod's job."""
        return (await self.condor(f"condor_q -allusers {self.job(pod)} -af:r {name}")).strip()
