"""Bringing a recorded pod to the backend: once for the create that waits, again with back-off for what could not be answered.

A submit runs in a task of its own, so that neither a slow backend nor a client that left can tear it; deletion reads its outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from interlink_common.backend import Backend, Job
from interlink_common.background import backoff_delays
from interlink_common.errors import Permanent, Temporary
from interlink_common.faultpoints import JID_STORED, SUBMITTED, fault_point
from interlink_common.model.codec import from_json
from interlink_common.model.report import ContainerReport, PodReport, Terminated, Waiting
from interlink_common.model.workload import Workload
from interlink_common.tracking.inventory import Inventory
from interlink_common.tracking.pods import Intent, Pod, Registry
from interlink_common.tracking.records import Records

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

    def begin(self, pod: Pod, workload: Workload) -> asyncio.Task[None]:
        """Starts a submit and remembers it in `pod.submitting` until it ended; the task raises what the backend raised."""
        return self._remembered(pod, self._submit(pod, workload))

    def found(self, pod: Pod, jid: str) -> asyncio.Task[None]:
        """As `begin`, for a pod that the backend turned out to have: its answer is not on record, so this process may not know the job."""
        return self._remembered(pod, self._found(pod, jid))

    def _remembered(self, pod: Pod, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"submit-{pod.uid}")
        pod.submitting = task

        def ended(task: asyncio.Task[None]) -> None:
            pod.submitting = None
            if not task.cancelled():
                task.exception()

        task.add_done_callback(ended)
        return task

    async def _submit(self, pod: Pod, workload: Workload) -> None:
        jid = await self._backend.submit(workload)
        fault_point(SUBMITTED)
        await self.answered(pod, jid)

    async def _found(self, pod: Pod, jid: str) -> None:
        text = await self._records.workload_json(pod.uid)
        if text is not None:
            await self._backend.adopt(Job(pod.uid, jid, from_json(text)), complete=True)
        await self.answered(pod, jid)

    async def answered(self, pod: Pod, jid: str) -> None:
        """Records the JID; a pod that was deleted meanwhile stays so."""
        pod.jid, pod.trouble = jid, ""
        if pod.intent is Intent.CREATING:
            pod.intent = Intent.ACTIVE
        pod.entry = None
        await self._records.update(pod)
        fault_point(JID_STORED)

    def postponed(self, pod: Pod, error: Temporary) -> None:
        """Has the pod's waiting message say why it is not submitted yet."""
        pod.trouble, pod.entry = f"not submitted yet: {error}", None

    async def until_done(self, pod: Pod) -> None:
        """Submits an accepted pod until the backend has it, refuses it, or it is deleted."""
        if pod.submitting is not None:
            await asyncio.wait({pod.submitting})
        delays = backoff_delays()
        while pod.intent is Intent.CREATING and not pod.finished:
            await self._registry.backend.up.wait()
            delay = next(delays)
            try:
                await self._once(pod)
            except Temporary as error:
                delay = error.retry_after_seconds or delay
                self.postponed(pod, error)
                self._registry.counters["submit_retries"] += 1
                log.warning("submit failed and is repeated", pod_uid=pod.uid, error=str(error), delay_seconds=round(delay, 1))
            except Permanent as error:
                await self._fail(pod, str(error))
                return
            except Exception:
                self._registry.counters["submit_retries"] += 1
                log.exception("submit failed and is repeated", pod_uid=pod.uid)
            if pod.intent is Intent.CREATING:
                await asyncio.sleep(delay)

    async def _once(self, pod: Pod) -> None:
        found = await self._inventory.find(pod.uid)
        if pod.intent is not Intent.CREATING or pod.submitting is not None:
            return
        if found is not None:
            await self.found(pod, found.jid)
            return
        text = await self._records.workload_json(pod.uid)
        if text is not None and pod.intent is Intent.CREATING:
            workload = from_json(text)
            self._backend.admit(workload)
            await self.begin(pod, workload)

    async def _fail(self, pod: Pod, sentence: str) -> None:
        """An accepted pod that the backend then refused fails with the backend's sentence."""
        text = await self._records.workload_json(pod.uid)
        workload = from_json(text) if text else None
        ended = Terminated(REFUSED_EXIT_CODE, "Refused", sentence)
        pod.report = PodReport(
            containers=tuple(ContainerReport(c.name, ended, image=c.image) for c in (workload.containers if workload else ())),
            init_containers=tuple(
                ContainerReport(c.name, Waiting("PodInitializing")) for c in (workload.init_containers if workload else ())
            ),
            finished=True,
        )
        pod.finished_at = self._registry.clock()
        pod.entry = None
        self._records.note_report(pod)
        log.warning("the backend refused an accepted pod", pod_uid=pod.uid, error=sentence)
