"""The virtual node: the verbs that interLink calls, over a backend and its records. Bodies in, bodies out; HTTP is `serve`'s business.

Every verb first writes down what is to become of a pod and then does it, so a kill at any point is healed at the next start
by the `Reconciler`, which shares the `Registry` and must run for anything to happen in the background.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import structlog

from interlink_common.backend import Backend, Job, NodeCapacity
from interlink_common.contract.answers import ping_answer
from interlink_common.errors import BackendUnavailable, Gone, NotFound, Temporary
from interlink_common.faultpoints import DELETE_RECORDED, RECORDED, fault_point
from interlink_common.model.codec import from_json, to_json
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_common.tracking import requests, statuses
from interlink_common.tracking.outage import BackendState
from interlink_common.tracking.pods import Intent, PodRecord
from interlink_common.tracking.records import Records
from interlink_common.tracking.registry import ContactClock, Inventory, Registry
from interlink_common.tracking.removals import Removals, bare_workload
from interlink_common.tracking.submissions import Submissions

log = structlog.get_logger(__name__)

LARGE_BODY_BYTES = 256 * 1024
"""Bodies over this are parsed in a thread: translating thousands of variables would hold up every status call."""
MAX_BUFFERED_CHUNKS = 64
"""Of a log whose reader is slower than its source."""


class VirtualNode:
    """One virtual node. `records` must be open; they are read here, and closed by whoever opened them."""

    def __init__(
        self,
        backend: Backend,
        records: Records,
        settings: PluginSettings,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backend = backend
        self.records = records
        self.settings = settings
        found, tombstones = records.load()
        self.registry = Registry(
            backend=BackendState(backend.name, clock),
            contact=ContactClock(monotonic),
            clock=clock,
            pods={record.uid: record for record in found},
            tombstones=tombstones,
        )
        self.capacity = NodeCapacity()
        self.inventory = Inventory(backend)
        self.submissions = Submissions(backend, records, self.registry, self.inventory)
        self.removals = Removals(
            backend, records, self.registry, self.inventory, submit_patience_seconds=settings.submit_timeout_seconds
        )  # fmt: skip
        self._stopping = asyncio.Event()

    async def create(self, body: bytes) -> bytes:
        """POST /create. Idempotent by UID; returns the JSON answer. Raises BadRequest, Refused, Gone, BackendUnavailable.

        A create that raises leaves nothing behind, because interLink then marks the pod failed for good.
        """
        self.registry.contact.call()
        if len(body) > LARGE_BODY_BYTES:
            workload = await asyncio.to_thread(requests.read_create, body, self.backend, self.settings)
        else:
            workload = requests.read_create(body, self.backend, self.settings)
        record = self.registry.pods.get(workload.uid)
        if record is not None and record.intent is Intent.ABORTING:
            raise BackendUnavailable(f"an earlier create of pod {record.name} failed and is being cleaned up; try again later")
        if workload.uid in self.registry.tombstones or (record is not None and not record.wanted):
            raise Gone(f"pod {workload.name} was deleted and is not created again; create a new pod")
        if record is None:
            if self.settings.when_backend_down == "refuse" and self.registry.backend.down_since is not None:
                raise BackendUnavailable(self.registry.backend.sentence)
            record = PodRecord.of(workload, created_at=self.registry.clock(), requested_at=self.registry.contact.seconds)
            self.registry.add(record)
            record.create_by(self._create(record, workload))
        if record.creating is not None:
            await asyncio.shield(record.creating)
        return msgspec.json.encode({"PodUID": record.uid, "PodJID": record.wire_jid})

    async def _create(self, record: PodRecord, workload: Workload) -> None:
        try:
            await self.records.insert(record, to_json(workload))
        except BaseException:
            self.registry.remove(record)
            raise
        fault_point(RECORDED)
        try:
            if record.intent is Intent.CREATING:
                await self._submit_in_time(record, workload)
        except Exception:
            await self._abort(record)
            raise
        if not record.wanted:
            raise Gone(f"pod {record.name} was deleted while it was being created")

    async def _submit_in_time(self, record: PodRecord, workload: Workload) -> None:
        """Returns once the backend has the pod, or it was accepted for later. Raises what the create answers."""
        try:
            async with asyncio.timeout(self.settings.submit_timeout_seconds):
                await self.registry.backend.tried.wait()
                if self.registry.backend.down_since is not None:
                    raise BackendUnavailable(self.registry.backend.sentence)
                await asyncio.wait({task := self.submissions.begin(record, workload)})
            if record.wanted:
                task.result()
        except (Temporary, TimeoutError) as error:
            if not record.wanted:
                return
            if self.settings.when_backend_down == "refuse":
                if isinstance(error, Temporary):
                    raise
                raise BackendUnavailable(f"the {self.backend.name} backend did not answer in time; try again later") from None
            log.warning("pod accepted, to be submitted later", pod_uid=record.uid, error=str(error) or "timeout")
            if isinstance(error, Temporary):
                record.postponed(f"not submitted yet: {error}")
            self.registry.todo.put_nowait(record)

    async def _abort(self, record: PodRecord) -> None:
        """Has the reconciler look for what a failed create may have left on the backend, and forget the pod."""
        if record.wanted:
            record.aborting()
            self.registry.todo.put_nowait(record)
            await self.records.update(record)

    def status(self, body: bytes) -> bytes:
        """GET /status: the prebuilt answer for the pods in the body, or the answer to a ping if there are none. Raises BadRequest."""
        pods = statuses.parse_status(body)
        return statuses.answer(self.registry, pods) if pods else self.ping()

    def ping(self) -> bytes:
        """Keeps the node Ready. Raises BackendUnavailable only where the operator wants it so."""
        self.registry.contact.call()
        if self.settings.ping_fails_when_backend_down and not self.registry.backend.up.is_set():
            raise BackendUnavailable(self.registry.backend.sentence or f"the {self.backend.name} backend has not answered yet")
        return msgspec.json.encode(ping_answer(self.capacity))

    async def delete(self, body: bytes) -> None:
        """POST /delete: durable when it returns; done by the reconciler. An unknown pod is no error. Raises BadRequest."""
        self.registry.contact.call()
        deletion = requests.read_delete(body)
        if deletion.uid in self.registry.tombstones:
            return
        await self.remove(deletion.uid, deletion.grace_seconds, namespace=deletion.namespace, name=deletion.name)
        fault_point(DELETE_RECORDED)

    async def remove(self, uid: str, grace_seconds: int, *, namespace: str = "", name: str = "") -> None:
        """Records that a pod is to be removed, and has it removed. It may be unknown here: its job may be all that is left of it."""
        record = self.registry.pods.get(uid)
        if record is None:
            record = PodRecord(uid, namespace, name, Intent.DELETING, grace_seconds=grace_seconds, created_at=self.registry.clock())
            self.registry.add(record)
            self.registry.todo.put_nowait(record)
            await self.records.insert(record, None)
            return
        if record.removing(grace_seconds):
            self.registry.todo.put_nowait(record)
        await self.records.update(record)

    async def logs(self, body: bytes) -> AsyncIterator[bytes]:
        """GET /getLogs: chunks of the log; ends when the pod is removed or we stop. Raises BadRequest, NotFound, BackendUnavailable."""
        self.registry.contact.call()
        uid, query = requests.read_logs(body, self.registry.clock())
        record = self.registry.pods.get(uid)
        if record is None:
            raise NotFound(f"no pod {uid} here")
        if record.jid is None:
            raise NotFound(f"pod {record.name} has not been started yet, so container {query.container} has no log")
        text = await self.records.workload_json(uid)
        workload = from_json(text) if text else bare_workload(record)
        if workload.containers and query.container not in {c.name for c in workload.all_containers}:
            raise NotFound(f"pod {record.name} has no container {query.container} here")
        chunks = self.backend.logs(Job(uid, record.jid, workload), query)
        return until(chunks, record.removed_event(), self._stopping)

    def stop_streams(self) -> None:
        """Ends all log streams, so that a server that stops need not wait for followers."""
        self._stopping.set()


async def until(chunks: AsyncIterator[bytes], *events: asyncio.Event) -> AsyncIterator[bytes]:
    """The chunks of a log, small ones joined when the reader is slower, until they end or one of the events happens. Closes `chunks`.

    interLink notices a follower that left only at the next line, so we end what no longer has a source.
    """
    buffer: list[bytes] = []
    wake, room = asyncio.Event(), asyncio.Event()

    async def pump() -> None:
        async for chunk in chunks:
            buffer.append(chunk)
            wake.set()
            if len(buffer) >= MAX_BUFFERED_CHUNKS:
                room.clear()
                await room.wait()

    source = asyncio.create_task(pump(), name="log-source")
    source.add_done_callback(lambda _: wake.set())
    ends = [asyncio.create_task(_cancel_after(event, source), name="log-end") for event in events]
    try:
        while buffer or not source.done():
            await wake.wait()
            wake.clear()
            if buffer:
                joined = b"".join(buffer)
                buffer.clear()
                room.set()
                yield joined
        if not source.cancelled():
            source.result()
    finally:
        for task in (source, *ends):
            task.cancel()
        await asyncio.gather(source, *ends, return_exceptions=True)
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


async def _cancel_after(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    await event.wait()
    task.cancel()
