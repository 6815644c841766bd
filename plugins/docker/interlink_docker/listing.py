"""Lists of containers, shared: however many pods ask at once, one answer of the engine serves all who asked before it was read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set as AbstractSet
from typing import Any

from interlink_common.background import SharedCall
from interlink_docker import labels
from interlink_docker.client import Engine

Rows = dict[str, list[dict[str, Any]]]


class Listing:
    """Container summaries by pod UID. A caller never gets a list that the engine began before the call."""

    def __init__(self, engine: Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self._call: SharedCall[str, Rows] = SharedCall("docker listing", self._list)

    async def of_pod(self, uid: str) -> list[dict[str, Any]]:
        """Summaries of the pod's containers, the sandbox among them. Raises RuntimeUnavailable."""
        return (await self._call(uid)).get(uid, [])

    async def _list(self, uids: AbstractSet[str]) -> Rows:
        only = next(iter(uids)) if len(uids) == 1 else None
        rows: Rows = defaultdict(list)
        for row in await self._engine.containers(labels.ours(self._instance, uid=only)):
            rows[row["Labels"].get(labels.POD_UID, "")].append(row)
        return rows
