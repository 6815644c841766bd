"""Bringing a recorded pod to the backend: once for the create that waits, again with back-off for what could not be answered.

A submit runs in a task of its own, so that neither a slow backend nor a client that left can tear it; deletion reads its outcome.
"""

from __future__ import annotations

import asyncio

import structlog

from interlink_common.backend import Backend, Job
from interlink_common.background import Backoff
from interlink_common.errors import Permanent, Temporary
from interlink_common.faultpoints import JID_STORED, SUBMITTED, fault_point
from interlink_common.model.codec import from_json
from interlink_common.model.report import ContainerReport, PodReport, Terminated, Waiting
from interlink_common.model.workload import Workload
from interlink_common.tracking.pods import Intent, PodRecord
from interlink_common.tracking.records import Records
from interlink_common.tracking.registry import Inventory, Registry

log = structlog.get_logger(__name__)

REFUSED_EXIT_CODE = 128
"""The kubelet's code for a container that could not be started."""


class Submissions:
    """The only caller of `Backend.submit`, and of `Backend.adopt` for what is on record; never two at once for one pod."""

    def __init__(self, backend: Backend, records: Records, registry: Registry, inventory: Inventory) -> None:
        self._backend = backend
        self._records = records
        self._registry = registry
        self._inventory = inventory

    def begin(self, record: PodRecord, workload: Workload) -> asyncio.Task[None]:
        """Starts a submit; the task raises what the backend raises."""
        return record.submit_by(self._submit(record, workload))

    def take_over(self, record: PodRecord, jid: str) -> asyncio.Task[None]:
        """As `begin`, for a pod that the backend turned out to have: its answer is not on record, so this process may not know the job."""
        return record.submit_by(self._take_over(record, jid))

    async def _submit(self, record: PodRecord, workload: Workload) -> None:
        jid = await self._backend.submit(workload)
        fault_point(SUBMITTED)
        await self._note_jid(record, jid)

    async def _take_over(self, record: PodRecord, jid: str) -> None:
        text = await self._records.workload_json(record.uid)
        if text is not None:
            await self._backend.adopt(Job(record.uid, jid, from_json(text)), complete=True)
        await self._note_jid(record, jid)

    async def _note_jid(self, record: PodRecord, jid: str) -> None:
        record.submitted(jid)
        await self._records.update(record)
        fault_point(JID_STORED)

    async def until_done(self, record: PodRecord) -> None:
        """Submits an accepted pod until the backend has it, refuses it, or it is deleted."""
        if record.submitting is not None:
            await asyncio.wait({record.submitting})
        backoff = Backoff()
        while record.intent is Intent.CREATING and not record.finished:
            await self._registry.backend.up.wait()
            failure: Exception | None = None
            try:
                await self._try_once(record)
            except Temporary as error:
                failure = error
                record.postponed(f"not submitted yet: {error}")
                self._registry.counters["submit_retries"] += 1
                log.warning("submit failed and is repeated", pod_uid=record.uid, error=str(error))
            except Permanent as error:
                await self._fail(record, str(error))
                return
            except Exception:
                self._registry.counters["submit_retries"] += 1
                log.exception("submit failed and is repeated", pod_uid=record.uid)
            if record.intent is Intent.CREATING:
                await backoff.pause(failure)

    async def _try_once(self, record: PodRecord) -> None:
        found = await self._inventory.find(record.uid)
        if record.intent is not Intent.CREATING or record.submitting is not None:
            return
        if found is not None:
            await self.take_over(record, found.jid)
            return
        text = await self._records.workload_json(record.uid)
        if text is not None and record.intent is Intent.CREATING:
            workload = from_json(text)
            self._backend.admit(workload)
            await self.begin(record, workload)

    async def _fail(self, record: PodRecord, sentence: str) -> None:
        """An accepted pod that the backend then refused fails with the backend's sentence."""
        text = await self._records.workload_json(record.uid)
        workload = from_json(text) if text else None
        ended = Terminated(REFUSED_EXIT_CODE, "Refused", sentence)
        report = PodReport(
            containers=tuple(ContainerReport(c.name, ended, image=c.image) for c in (workload.containers if workload else ())),
            init_containers=tuple(
                ContainerReport(c.name, Waiting("PodInitializing")) for c in (workload.init_containers if workload else ())
            ),
            finished=True,
        )
        record.failed(report, self._registry.clock())
        self._records.note_report(record)
        log.warning("the backend refused an accepted pod", pod_uid=record.uid, error=sentence)
