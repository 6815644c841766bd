"""What time alone makes due: pods whose delete was lost, ended pods past their retention, old tombstones."""

from __future__ import annotations

import asyncio

import structlog

from interlink_common.tracking.node import VirtualNode
from interlink_common.tracking.pods import Pod

log = structlog.get_logger(__name__)

PERIOD_SECONDS = 15.0
TOMBSTONE_SECONDS = 3600.0


class Sweeps:
    """The periodic checks; `sweep` does one round."""

    def __init__(self, node: VirtualNode) -> None:
        self._node = node
        self._registry = node.registry

    async def run(self) -> None:
        await asyncio.sleep(PERIOD_SECONDS)
        await self.sweep()

    async def sweep(self) -> None:
        """One round of all checks."""
        now = self._registry.clock()
        await self._tombstones(now - TOMBSTONE_SECONDS)
        for pod in [pod for pod in self._registry.pods.values() if pod.wanted]:
            await self._collect(pod)
            await self._retire(pod, now)

    async def _tombstones(self, before: float) -> None:
        old = [uid for uid, deleted_at in self._registry.tombstones.items() if deleted_at < before]
        for uid in old:
            del self._registry.tombstones[uid]
        if old:
            await self._node.records.erase_tombstones(before)

    async def _collect(self, pod: Pod) -> None:
        """interLink asks for every non-terminal pod in turn; one it no longer asks for was deleted, and the delete was lost."""
        collector = self._node.settings.collector
        unasked = self._registry.contact.seconds - pod.asked_at
        if collector.mode == "off" or pod.finished or pod.orphan or unasked <= collector.after_seconds:
            return
        pod.orphan = True
        log.warning(
            "interLink no longer asks for this pod: its deletion was probably lost",
            pod_uid=pod.uid, namespace=pod.namespace, pod=pod.name, unasked_seconds=round(unasked), action=collector.mode,
        )  # fmt: skip
        if collector.mode == "delete":
            self._registry.counters["orphans_collected"] += 1
            await self._node.remove(pod.uid, pod.grace_seconds)

    async def _retire(self, pod: Pod, now: float) -> None:
        retention = self._node.settings.finished_retention_seconds
        if retention is not None and pod.finished_at is not None and now - pod.finished_at > retention and pod.wanted:
            log.info("ended pod removed after its retention", pod_uid=pod.uid, namespace=pod.namespace, pod=pod.name)
            await self._node.remove(pod.uid, 0)
