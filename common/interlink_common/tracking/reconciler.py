"""The background of the virtual node: bring the backend up, recover, watch, and work off what the verbs left to be done.

A backend that can't be reached freezes every state and is tried again for ever; nothing is ever concluded from its absence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import overload

import structlog

from interlink_common.backend import FoundJob, Job, Observation
from interlink_common.background import Backoff, Breather, Tasks
from interlink_common.contract.answers import sentence
from interlink_common.errors import ConfigurationError, Temporary
from interlink_common.model.codec import from_json, to_json
from interlink_common.model.workload import Workload
from interlink_common.tracking.housekeeping import Housekeeping
from interlink_common.tracking.node import VirtualNode
from interlink_common.tracking.pods import Intent, PodRecord
from interlink_common.tracking.removals import bare_workload

log = structlog.get_logger(__name__)

REPORT_BATCH_SECONDS = 0.5
INVENTORY_PERIOD_SECONDS = 300.0
CAPACITY_PERIOD_SECONDS = 60.0


class RecordedJobs(Sequence[Job]):
    """All jobs with a JID on record, for `Backend.start`. A Workload is read when it is looked at, so ten thousand never exist at once."""

    def __init__(self, node: VirtualNode) -> None:
        self._records = node.records
        self._pods = [record for record in node.registry.pods.values() if record.wanted and record.jid is not None]

    def __len__(self) -> int:
        return len(self._pods)

    @overload
    def __getitem__(self, index: int) -> Job: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Job]: ...
    def __getitem__(self, index: int | slice) -> Job | Sequence[Job]:
        if isinstance(index, slice):
            return self._jobs(self._pods[index])
        return self._jobs([self._pods[index]])[0]

    def _jobs(self, pods: list[PodRecord]) -> list[Job]:
        texts = self._records.workloads_json([record.uid for record in pods])
        workloads = [from_json(text) if text else bare_workload(record) for record, text in zip(pods, texts, strict=True)]
        return [Job(record.uid, record.jid or "", workload) for record, workload in zip(pods, workloads, strict=True)]


class Reconciler:
    """Runs the background of one node, between `start` and `close`."""

    def __init__(self, node: VirtualNode) -> None:
        self._node = node
        self._registry = node.registry
        self._records = node.records
        self._tasks = Tasks()
        self._housekeeping = Housekeeping(node)
        self._started = False

    def start(self) -> None:
        """Begins at once and returns; the backend need not be there."""
        for record in self._registry.pods.values():
            if record.intent is not Intent.ACTIVE:
                self._registry.todo.put_nowait(record)
        self._tasks.forever("observe", self._observe)
        self._tasks.forever("todo", self._work)
        self._tasks.forever("reports", self._write_reports)
        self._tasks.forever("inventory", self._look_again)
        self._tasks.forever("capacity", self._refresh_capacity)
        self._tasks.forever("housekeeping", self._housekeeping.run)

    async def close(self) -> None:
        """Ends the background work and lets go of the backend. What is not done is done after the next start."""
        await self._tasks.close()
        pods = list(self._registry.pods.values())
        running = [task for record in pods for task in (record.creating, record.submitting) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._node.inventory.close()
        await self._node.backend.close()

    async def _observe(self) -> None:
        """Connect, recover, watch; on any loss freeze, wait and begin again."""
        backoff = Backoff()
        while True:
            try:
                if not self._started:
                    await self._node.backend.start(RecordedJobs(self._node))
                    self._started = True
                await self._recover()
                self._back()
                breathe = Breather()
                async for observation in self._node.backend.observe():
                    backoff.reset()
                    self._apply(observation)
                    await breathe()
                log.warning("the backend ended observe(); it is called again")
            except (Temporary, ConfigurationError) as error:  # a file of the settings may be put right while we run
                self._registry.backend.lost(sentence(str(error)))
                log.warning("backend unreachable, states stay as they are", backend=self._node.backend.name, error=str(error))
            except Exception:
                self._registry.backend.lost()
                raise
            await backoff.pause()

    def _back(self) -> None:
        if self._registry.backend.down_since is not None:
            log.info("backend reachable again", backend=self._node.backend.name)
        self._registry.backend.back()

    def _apply(self, observation: Observation) -> None:
        record = self._registry.pods.get(observation.pod_uid)
        if record is None:
            return
        if record.observed(observation.report, self._registry.clock()):
            self._records.note_report(record)
        elif record.finished and record.report != observation.report:
            log.warning("a state that the backend reported after the end of a pod is ignored", pod_uid=record.uid)

    async def _recover(self) -> None:
        """Compares the backend's jobs with the records, both ways."""
        before = set(self._registry.pods)
        found = await self._node.inventory.all()
        breathe = Breather()
        for job in found.values():
            await self._reconcile(job, before)
            await breathe()
        self._registry.recovered = True

    async def _reconcile(self, job: FoundJob, before: set[str]) -> None:
        registry = self._registry
        record = registry.pods.get(job.pod_uid)
        if record is not None:
            if record.intent is Intent.CREATING and record.creating is None and record.submitting is None:
                await self._node.submissions.take_over(record, job.jid)
        elif job.pod_uid in registry.tombstones:
            log.warning("job of a deleted pod found", pod_uid=job.pod_uid, jid=job.jid)
            await self._node.remove(job.pod_uid, 0)
        elif job.pod_uid not in before:  # else it was forgotten while we looked
            await self._adopt(job)

    async def _adopt(self, job: FoundJob) -> None:
        """A job whose record is lost gets one again, from what its labels tell."""
        workload = job.workload or Workload(job.pod_uid, "", "", containers=())
        if job.workload is not None:
            await self._node.backend.adopt(Job(job.pod_uid, job.jid, workload), complete=False)
        record = PodRecord.of(workload, created_at=self._registry.clock(), requested_at=self._registry.contact.seconds)
        record.adopted(job.jid)
        self._registry.add(record)
        await self._records.insert(record, to_json(workload) if job.workload else None)
        self._registry.counters["adopted"] += 1
        log.warning("job without a record adopted", pod_uid=record.uid, namespace=record.namespace, pod=record.name, jid=job.jid)

    async def _work(self) -> None:
        record = await self._registry.todo.get()
        if record.wanted:
            self._tasks.once(f"resubmit-{record.uid}", self._node.submissions.until_done(record))
        else:
            self._tasks.once(f"remove-{record.uid}", self._node.removals.until_done(record))

    async def _write_reports(self) -> None:
        await self._records.changed.wait()
        await asyncio.sleep(REPORT_BATCH_SECONDS)
        await self._records.flush()

    async def _look_again(self) -> None:
        """Jobs that appear without a record later: a submit that hung, was given up, and succeeded after all."""
        await asyncio.sleep(INVENTORY_PERIOD_SECONDS)
        if self._registry.backend.up.is_set():
            try:
                await self._recover()
            except Temporary as error:
                log.warning("inventory failed, it is repeated", error=str(error))

    async def _refresh_capacity(self) -> None:
        await self._registry.backend.up.wait()
        try:
            self._node.capacity = await self._node.backend.capacity()
        except Temporary as error:
            log.warning("capacity unknown, the last known one is reported", error=str(error))
        await asyncio.sleep(CAPACITY_PERIOD_SECONDS)
