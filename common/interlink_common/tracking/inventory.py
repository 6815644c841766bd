"""One look at the backend's inventory for all who wait for one: hundreds of deletions after an outage cost one call, not hundreds."""

from __future__ import annotations

import asyncio

from interlink_common.backend import Backend, FoundJob


class Inventory:
    """Shares calls of `Backend.inventory`; an answer is only given to those who asked before that call began."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._next: asyncio.Task[dict[str, FoundJob]] | None = None
        self._turn = asyncio.Lock()
        self._looks: set[asyncio.Task[dict[str, FoundJob]]] = set()

    async def all(self) -> dict[str, FoundJob]:
        """Jobs by pod UID, as of now or later. Raises what the backend raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._look(), name="inventory")
            self._looks.add(self._next)
            self._next.add_done_callback(self._looks.discard)
        return await asyncio.shield(self._next)

    async def find(self, pod_uid: str) -> FoundJob | None:
        """The job that carries this pod, if the backend has one."""
        return (await self.all()).get(pod_uid)

    async def close(self) -> None:
        """Ends calls under way."""
        for task in self._looks:
            task.cancel()
        await asyncio.gather(*self._looks, return_exceptions=True)

    async def _look(self) -> dict[str, FoundJob]:
        async with self._turn:
            self._next = None
            return {job.pod_uid: job for job in await self._backend.inventory()}
