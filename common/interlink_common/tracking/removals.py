"""Removing pods from the backend: from a durable intent to a job that is really gone, through outages and restarts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import structlog
from tenacity import RetryCallState

from interlink_common.backend import Backend, Job
from interlink_common.background import retried
from interlink_common.errors import PluginError, Temporary
from interlink_common.faultpoints import CANCELLED, fault_point
from interlink_common.model.codec import from_json
from interlink_common.model.workload import Workload
from interlink_common.tracking.pods import Intent, PodRecord
from interlink_common.tracking.records import Records
from interlink_common.tracking.registry import Inventory, Registry

log = structlog.get_logger(__name__)

CONCURRENT_CANCELS = 100
"""High, because a cancel lasts as long as the pod's grace: fewer would make one slow pod hold up the deletion of others."""


class Removals:
    """The only caller of `Backend.cancel`."""

    def __init__(
        self, backend: Backend, records: Records, registry: Registry, inventory: Inventory, *, submit_patience_seconds: float
    ) -> None:
        self._backend = backend
        self._records = records
        self._registry = registry
        self._inventory = inventory
        self._submit_patience_seconds = submit_patience_seconds
        self._slots = asyncio.Semaphore(CONCURRENT_CANCELS)

    async def until_done(self, record: PodRecord) -> None:
        """Repeats the removal with back-off until the backend has nothing of the pod, then buries the record."""
        await self._end_submit(record)
        await retried(partial(self._try_once, record), partial(self._note_failure, record))

    async def _try_once(self, record: PodRecord) -> None:
        await self._registry.backend.up.wait()
        async with self._slots:
            await self._remove(record)

    def _note_failure(self, record: PodRecord, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        delay_seconds = round(state.upcoming_sleep, 1)
        if isinstance(error, Temporary):
            log.warning("cancel failed and is repeated", pod_uid=record.uid, error=str(error), delay_seconds=delay_seconds)
        else:
            exc_info = None if isinstance(error, PluginError) else error
            log.error("cancel failed and is repeated", pod_uid=record.uid, error=str(error), exc_info=exc_info)
        self._registry.counters["cancel_retries"] += 1

    async def _end_submit(self, record: PodRecord) -> None:
        """Waits for the JID of a submit under way; one that hangs is abandoned: what it left is found in the inventory."""
        for task in (record.creating, record.submitting):
            if task is not None:
                await asyncio.wait({task}, timeout=self._submit_patience_seconds)
        if record.submitting is not None:
            record.submitting.cancel()
            await asyncio.wait({record.submitting}, timeout=self._submit_patience_seconds)

    async def _remove(self, record: PodRecord) -> None:
        job = await self._job(record)
        if job is not None:
            await self._cancel(record, job)
        fault_point(CANCELLED)
        now = self._registry.clock()
        if record.intent is Intent.ABORTING:
            await self._records.erase(record.uid)
        else:
            await self._records.bury(record.uid, now)
            self._registry.tombstones[record.uid] = now
        self._registry.remove(record)
        log.info("pod removed", pod_uid=record.uid, namespace=record.namespace, pod=record.name, jid=job.jid if job else None)

    async def _cancel(self, record: PodRecord, job: Job) -> None:
        """Cancels once, and once more whenever interLink gives less grace meanwhile. Raises what the first answer raises."""
        less_grace = record.less_grace_event()
        calls: set[asyncio.Task[Any]] = set()
        try:
            while not any(call.done() for call in calls):
                less_grace.clear()
                calls.add(asyncio.create_task(self._backend.cancel(job, record.grace_seconds), name=f"cancel-{record.uid}"))
                hurry = asyncio.create_task(less_grace.wait(), name=f"less-grace-{record.uid}")
                try:
                    await asyncio.wait({*calls, hurry}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    hurry.cancel()
            for call in calls:
                if call.done():
                    call.result()
        finally:
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)

    async def _job(self, record: PodRecord) -> Job | None:
        """The pod's job, with the Workload on record, else the one that the job carries; None if there is no job."""
        found = await self._inventory.find(record.uid) if record.jid is None else None
        jid = record.jid or (found.jid if found else None)
        if jid is None:
            return None
        text = await self._records.workload_json(record.uid)
        described = found.workload if found else None
        return Job(record.uid, jid, from_json(text) if text else described or bare_workload(record))


def bare_workload(record: PodRecord) -> Workload:
    """All that is known of a pod whose job was found without its record."""
    return Workload(record.uid, record.name, record.namespace, containers=(), grace_seconds=record.grace_seconds)
