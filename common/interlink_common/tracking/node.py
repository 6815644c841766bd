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
from interlink_common.contract.node import ping_answer
from interlink_common.errors import BackendUnavailable, Gone, NotFound, Temporary
from interlink_common.faultpoints import DELETE_RECORDED, RECORDED, fault_point
from interlink_common.model.codec import from_json, to_json
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_common.tracking import intake, statuses
from interlink_common.tracking.inventory import Inventory
from interlink_common.tracking.pods import BackendState, ContactClock, Intent, Pod, Registry
from interlink_common.tracking.records import Records
from interlink_common.tracking.removals import Removals, bare_workload
from interlink_common.tracking.streams import until
from interlink_common.tracking.submissions import Submissions

log = structlog.get_logger(__name__)

LARGE_BODY_BYTES = 256 * 1024
"""Bodies over this are parsed in a thread: translating thousands of variables would hold up every status call."""


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
        pods, tombstones = records.load()
        self.registry = Registry(
            backend=BackendState(backend.name, clock),
            contact=ContactClock(monotonic),
            clock=clock,
            pods={pod.uid: pod for pod in pods},
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
            workload = await asyncio.to_thread(intake.admit, body, self.backend, self.settings)
        else:
            workload = intake.admit(body, self.backend, self.settings)
        pod = self.registry.pods.get(workload.uid)
        if pod is not None and pod.intent is Intent.ABORTING:
            raise BackendUnavailable(f"an earlier create of pod {pod.name} failed and is being cleaned up; try again later")
        if workload.uid in self.registry.tombstones or (pod is not None and not pod.wanted):
            raise Gone(f"pod {workload.name} was deleted and is not created again; create a new pod")
        if pod is None:
            if self.settings.when_backend_down == "refuse" and self.registry.backend.down_since is not None:
                raise BackendUnavailable(self.registry.backend.sentence)
            pod = Pod.of(workload, created_at=self.registry.clock())
            pod.asked_at = self.registry.contact.seconds
            self.registry.pods[pod.uid] = pod
            pod.creating = asyncio.create_task(self._create(pod, workload), name=f"create-{pod.uid}")
            pod.creating.add_done_callback(lambda task: task.cancelled() or task.exception())
        if pod.creating is not None:
            await asyncio.shield(pod.creating)
        return msgspec.json.encode({"PodUID": pod.uid, "PodJID": pod.wire_jid})

    async def _create(self, pod: Pod, workload: Workload) -> None:
        try:
            await self.records.insert(pod, to_json(workload))
        except BaseException:
            self.registry.remove(pod)
            raise
        fault_point(RECORDED)
        try:
            if pod.intent is Intent.CREATING:
                await self._submit_in_time(pod, workload)
        except Exception:
            await self._abort(pod)
            raise
        finally:
            pod.creating = None
        if not pod.wanted:
            raise Gone(f"pod {pod.name} was deleted while it was being created")

    async def _submit_in_time(self, pod: Pod, workload: Workload) -> None:
        """Returns once the backend has the pod, or it was accepted for later. Raises what the create answers."""
        try:
            async with asyncio.timeout(self.settings.submit_timeout_seconds):
                await self.registry.backend.known.wait()
                if self.registry.backend.down_since is not None:
                    raise BackendUnavailable(self.registry.backend.sentence)
                await asyncio.wait({task := self.submissions.begin(pod, workload)})
            if pod.wanted:
                task.result()
        except (Temporary, TimeoutError) as error:
            if not pod.wanted:
                return
            if self.settings.when_backend_down == "refuse":
                if isinstance(error, Temporary):
                    raise
                raise BackendUnavailable(f"the {self.backend.name} backend did not answer in time; try again later") from None
            log.warning("pod accepted, to be submitted later", pod_uid=pod.uid, error=str(error) or "timeout")
            if isinstance(error, Temporary):
                self.submissions.postponed(pod, error)
            self.registry.todo.put_nowait(pod)

    async def _abort(self, pod: Pod) -> None:
        """Has the reconciler look for what a failed create may have left on the backend, and forget the pod."""
        if pod.wanted:
            pod.intent = Intent.ABORTING
            pod.grace_seconds = 0
            self.registry.todo.put_nowait(pod)
            await self.records.update(pod)

    def status(self, body: bytes) -> bytes:
        """GET /status: the prebuilt answer for the pods in the body, or the answer to a ping if there are none. Raises BadRequest."""
        asked = statuses.parse_status(body)
        return statuses.answer(self.registry, asked) if asked else self.ping()

    def ping(self) -> bytes:
        """Keeps the node Ready. Raises BackendUnavailable only where the operator wants it so."""
        self.registry.contact.call()
        if self.settings.ping_fails_when_backend_down and not self.registry.backend.up.is_set():
            raise BackendUnavailable(self.registry.backend.sentence or f"the {self.backend.name} backend has not answered yet")
        return msgspec.json.encode(ping_answer(self.capacity))

    async def delete(self, body: bytes) -> None:
        """POST /delete: durable when it returns; done by the reconciler. An unknown pod is no error. Raises BadRequest."""
        self.registry.contact.call()
        deletion = intake.read_delete(body)
        if deletion.uid in self.registry.tombstones:
            return
        await self.remove(deletion.uid, deletion.grace_seconds, namespace=deletion.namespace, name=deletion.name)
        fault_point(DELETE_RECORDED)

    async def remove(self, uid: str, grace_seconds: int, *, namespace: str = "", name: str = "") -> None:
        """Records that a pod is to go, known here or not (its job may be all that is left of it), and has it removed.

        A pod that is going already goes faster if there is less grace now (kubectl delete, then --force); never slower.
        """
        pod = self.registry.pods.get(uid)
        if pod is None:
            pod = Pod(uid, namespace, name, Intent.DELETING, grace_seconds=grace_seconds, created_at=self.registry.clock())
            self.registry.pods[uid] = pod
            self.registry.todo.put_nowait(pod)
            await self.records.insert(pod, None)
            return
        if pod.wanted:
            pod.grace_seconds = grace_seconds
            self.registry.todo.put_nowait(pod)
        elif grace_seconds < pod.grace_seconds:
            pod.grace_seconds = grace_seconds
            if pod.hurried is not None:
                pod.hurried.set()
        pod.intent = Intent.DELETING
        await self.records.update(pod)

    async def logs(self, body: bytes) -> AsyncIterator[bytes]:
        """GET /getLogs: chunks of the log; ends when the pod is removed or we stop. Raises BadRequest, NotFound, BackendUnavailable."""
        self.registry.contact.call()
        uid, query = intake.read_logs(body, self.registry.clock())
        pod = self.registry.pods.get(uid)
        if pod is None:
            raise NotFound(f"no pod {uid} here")
        if pod.jid is None:
            raise NotFound(f"pod {pod.name} has not been started yet, so container {query.container} has no log")
        text = await self.records.workload_json(uid)
        workload = from_json(text) if text else bare_workload(pod)
        if workload.containers and query.container not in {c.name for c in workload.all_containers}:
            raise NotFound(f"pod {pod.name} has no container {query.container} here")
        if pod.gone is None:
            pod.gone = asyncio.Event()
        chunks = self.backend.logs(Job(uid, pod.jid, workload), query)
        return until(chunks, pod.gone, self._stopping)

    def stop_streams(self) -> None:
        """Ends all log streams, so that a server that stops need not wait for followers."""
        self._stopping.set()
