"""Lists of containers, shared: however many pods ask at once, one answer of the engine serves all who asked before it was read."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

from interlink_docker import labels
from interlink_docker.client import Engine

Rows = dict[str, list[dict[str, Any]]]


class Listing:
    """Container summaries by pod UID. A caller never gets a list that the engine began before the call."""

    def __init__(self, engine: Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self._wanted: set[str] = set()
        self._running: asyncio.Task[Rows] | None = None
        self._next: asyncio.Task[Rows] | None = None

    async def of_pod(self, uid: str) -> list[dict[str, Any]]:
        """Summaries of the pod's containers, the sandbox among them. Raises RuntimeUnavailable."""
        self._wanted.add(uid)
        if self._next is None:
            self._next = asyncio.create_task(self._list(self._running), name="docker listing")
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        return (await asyncio.shield(self._next)).get(uid, [])

    async def _list(self, running: asyncio.Task[Rows] | None) -> Rows:
        if running is not None:
            await asyncio.wait([running])
        wanted, self._wanted = self._wanted, set()
        self._running, self._next = self._next, None
        only = next(iter(wanted)) if len(wanted) == 1 else None
        rows: Rows = defaultdict(list)
        for row in await self._engine.containers(labels.ours(self._instance, uid=only)):
            rows[row["Labels"].get(labels.POD_UID, "")].append(row)
        return rows
