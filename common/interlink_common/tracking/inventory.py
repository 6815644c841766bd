"""One look at the backend's inventory for all who wait for one: hundreds of deletions after an outage cost one call, not hundreds."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from interlink_common.backend import Backend, FoundJob
from interlink_common.background import SharedCall


class Inventory:
    """Shares calls of `Backend.inventory`; an answer is only given to those who asked before that call began."""

    def __init__(self, backend: Backend) -> None:
        async def take(_: AbstractSet[str]) -> dict[str, FoundJob]:
            return {job.pod_uid: job for job in await backend.inventory()}

        self._call = SharedCall("inventory", take)

    async def all(self) -> dict[str, FoundJob]:
        """Jobs by pod UID, as of now or later. Raises what the backend raises."""
        return await self._call()

    async def find(self, pod_uid: str) -> FoundJob | None:
        """The job that carries this pod, if the backend has one."""
        return (await self.all()).get(pod_uid)

    async def close(self) -> None:
        """Ends calls under way."""
        await self._call.close()
