"""What time alone makes due: pods whose delete was lost, ended pods past their retention, old tombstones."""

from __future__ import annotations

import asyncio

import structlog

from interlink_common.tracking.node import VirtualNode
from interlink_common.tracking.pods import PodRecord

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 15.0
TOMBSTONE_SECONDS = 3600.0


class Housekeeping:
    """The periodic checks; `run_once` does one round."""

    def __init__(self, node: VirtualNode) -> None:
        self._node = node
        self._registry = node.registry

    async def run(self) -> None:
        await asyncio.sleep(PERIOD_SECONDS)
        await self.run_once()

    async def run_once(self) -> None:
        """One round of all checks."""
        now = self._registry.clock()
        await self._forget_tombstones(now - TOMBSTONE_SECONDS)
        for record in [record for record in self._registry.pods.values() if record.wanted]:
            await self._collect_orphan(record)
            await self._retire(record, now)

    async def _forget_tombstones(self, before: float) -> None:
        old = [uid for uid, deleted_at in self._registry.tombstones.items() if deleted_at < before]
        for uid in old:
            del self._registry.tombstones[uid]
        if old:
            await self._node.records.erase_tombstones(before)

    async def _collect_orphan(self, record: PodRecord) -> None:
        """interLink asks for every non-terminal pod in turn; one it no longer asks for was deleted, and the delete was lost."""
        collector = self._node.settings.collector
        unrequested = self._registry.contact.seconds - record.requested_at
        if collector.mode == "off" or record.finished or record.is_orphan or unrequested <= collector.after_seconds:
            return
        record.unrequested()
        log.warning(
            "interLink no longer asks for this pod: its deletion was probably lost",
            pod_uid=record.uid, namespace=record.namespace, pod=record.name, unrequested_seconds=round(unrequested), action=collector.mode,
        )  # fmt: skip
        if collector.mode == "delete":
            self._registry.counters["orphans_collected"] += 1
            await self._node.remove(record.uid, record.grace_seconds)

    async def _retire(self, record: PodRecord, now: float) -> None:
        retention = self._node.settings.finished_retention_seconds
        if retention is not None and record.finished_at is not None and now - record.finished_at > retention and record.wanted:
            log.info("ended pod removed after its retention", pod_uid=record.uid, namespace=record.namespace, pod=record.name)
            await self._node.remove(record.uid, 0)
