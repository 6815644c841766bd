"""The node agent: carries out what the lifecycle decides, for any number of pods, over one container runtime.

A pod that waits for nothing but events costs no task and no timer; the only timer of the agent is one resync for all pods.
Construct it, and call it, inside one running event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Optional, Union

from interlink_common.agent.podworker import PodWorker, Save, WorkerContext
from interlink_common.agent.runtime import Runtime, RuntimeUnavailable
from interlink_common.lifecycle.memory import PodMemory, from_checkpoint
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload

log = logging.getLogger(__name__)

CONCURRENT_STATUS_CALLS = 32
"""How many pods ask the runtime for their attempts at the same time."""


class NodeAgent:
    """Runs pods.

    `save(uid, checkpoint)` is called whenever what must survive a restart of the process changes, before the agent acts on it, one call
    at a time for a pod. A function must not block for long; a coroutine function is awaited. After an exception the pod waits until a
    repeated call works.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        save: Save,
        clock: Callable[[], float] = time.time,
        timing: Timing = Timing(),  # noqa: B008  frozen
        resync_seconds: float = 60.0,
    ) -> None:
        self._runtime = runtime
        self._timing = timing
        self._resync_seconds = resync_seconds
        self._context = WorkerContext(runtime, save, self._publish, clock, timing, asyncio.Semaphore(CONCURRENT_STATUS_CALLS))
        self._workers: dict[str, PodWorker] = {}
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._changed: dict[str, None] = {}
        self._report_changed = asyncio.Event()
        self._resync: Optional[asyncio.Task[None]] = None
        self._closed = False

    def add(self, workload: Workload, checkpoint: str = "", adopted: bool = False) -> None:
        """Takes the pod on, or does nothing if the agent has it. `checkpoint`: what `save` was last given for the pod.

        `adopted`: the workload is a stub (see `model.codec`): the pod is observed and terminated; where a container would have to
        be started, the pod fails instead and says so. Raises ValueError for a checkpoint that `save` was not given.
        """
        if workload.uid in self._workers or self._closed:
            return
        memory = from_checkpoint(checkpoint)
        self._start_worker(PodWorker(workload, replace(memory, adopted=True) if adopted else memory, self._context))
        if self._resync is None:
            self._resync = asyncio.create_task(self._resync_repeatedly(), name="agent resync")

    def wake(self, uid: str) -> None:
        """The runtime reported an event of that pod. Cheap; unknown pods are ignored."""
        worker = self._workers.get(uid)
        if worker is not None:
            worker.wake()

    def wake_all(self) -> None:
        """Events may have been missed, or the runtime is back."""
        for worker in list(self._workers.values()):
            worker.wake()

    def report(self, uid: str) -> Optional[PodReport]:
        """The last report; None for an unknown pod and before its first sync."""
        worker = self._workers.get(uid)
        return worker.report if worker is not None else None

    async def reports(self) -> AsyncIterator[tuple[str, PodReport]]:
        """Every pod's report first, then each that changed, only the newest of a pod. For one reader; ends when the agent is closed."""
        self._changed.update(dict.fromkeys(self._workers))
        while not self._closed:
            while self._changed:
                uid = next(iter(self._changed))
                del self._changed[uid]
                report = self.report(uid)
                if report is not None:
                    yield uid, report
            self._report_changed.clear()
            await self._report_changed.wait()

    async def remove(self, pod: Union[str, Workload], grace_seconds: float) -> None:
        """Stops the pod in order and removes everything of it from the runtime; returns when nothing is left.

        Idempotent; a second call with less grace shortens the first. A pod never added is removed if its Workload is given, an
        unknown UID is nothing to do. Goes on while the caller is cancelled. Raises RuntimeUnavailable if the agent is closed meanwhile.
        """
        uid = pod if isinstance(pod, str) else pod.uid
        worker = self._workers.get(uid)
        if worker is None:
            if isinstance(pod, str):
                return
            worker = PodWorker(pod, PodMemory(adopted=True), replace(self._context, save=_save_nothing, publish=_publish_nothing))
            self._start_worker(worker)
        worker.request_deletion(grace_seconds)
        if uid not in self._removals:
            self._removals[uid] = asyncio.create_task(self._remove(worker), name=f"pod {uid} removal")
        removal = self._removals[uid]
        await asyncio.wait({removal})
        if removal.cancelled():
            raise RuntimeUnavailable("the agent was closed before the pod was removed")
        removal.result()

    async def close(self) -> None:
        """Ends every task of the agent; containers go on."""
        self._closed = True
        self._report_changed.set()
        tasks = [*self._removals.values()] + ([self._resync] if self._resync is not None else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(worker.close() for worker in self._workers.values()), return_exceptions=True)

    def _start_worker(self, worker: PodWorker) -> None:
        self._workers[worker.workload.uid] = worker
        worker.start()

    def _publish(self, uid: str) -> None:
        self._changed[uid] = None
        self._report_changed.set()

    async def _remove(self, worker: PodWorker) -> None:
        uid, delay = worker.workload.uid, self._timing.unavailable_first_seconds
        try:
            await worker.finished.wait()
            await worker.close()
            while not await self._removed(worker):
                await _wait(worker.woken, delay)
                delay = min(delay * 2, self._timing.unavailable_limit_seconds)
            self._workers.pop(uid, None)
            self._changed.pop(uid, None)
        finally:
            self._removals.pop(uid, None)

    async def _removed(self, worker: PodWorker) -> bool:
        worker.woken.clear()
        try:
            await self._runtime.remove(worker.workload)
        except RuntimeUnavailable as error:
            log.info("pod %s is not yet removed: %s", worker.workload.uid, error)
            return False
        except Exception:
            log.exception("removing pod %s failed and is tried again", worker.workload.uid)
            return False
        return True

    async def _resync_repeatedly(self) -> None:
        """Syncs every pod once per period, a few at a time, so that the event loop is never blocked."""
        while True:
            workers = [worker for worker in self._workers.values() if not worker.finished.is_set()]
            slices = [workers[start : start + CONCURRENT_STATUS_CALLS] for start in range(0, len(workers), CONCURRENT_STATUS_CALLS)] or [[]]
            for some in slices:
                await asyncio.sleep(self._resync_seconds / len(slices))
                for worker in some:
                    worker.wake()


def _save_nothing(uid: str, checkpoint: str) -> None:
    """For a pod that is only here to be removed."""


def _publish_nothing(uid: str) -> None:
    """For a pod that is only here to be removed."""


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return
