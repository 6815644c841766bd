"""One pod's worker: it syncs the pod, performs the actions, and sleeps without a task until something is due.

A sync asks the runtime for the pod's attempts and decides. Between syncs a pod costs its memory and at most one timer. Actions run as
background tasks whose outcomes are queued and fed in at the start of the next sync, *before* the runtime is asked, so that its answer is
never older than what an action's outcome says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Optional, Union

from interlink_common.agent.performing import perform
from interlink_common.agent.runtime import Runtime, RuntimeUnavailable
from interlink_common.lifecycle.decide import Decision, decide
from interlink_common.lifecycle.interface import Action, AttemptStatus, EnsureImage, Kill, Outcome, Prepare, StartAttempt
from interlink_common.lifecycle.memory import PodMemory, to_checkpoint
from interlink_common.lifecycle.outcomes import learn, learn_progress
from interlink_common.lifecycle.termination import request_deletion
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload

log = logging.getLogger(__name__)

Save = Callable[[str, str], Union[Awaitable[None], None]]


@dataclass(frozen=True)
class WorkerContext:
    """What all workers of one agent share. `status_calls` bounds how many ask the runtime for attempts at once."""

    runtime: Runtime
    save: Save
    publish: Callable[[str], None]
    clock: Callable[[], float]
    timing: Timing
    status_calls: asyncio.Semaphore


class PodWorker:
    """`report` is None until the first sync; `finished` is set when the pod has ended for good, `woken` by every `wake`."""

    def __init__(self, workload: Workload, memory: PodMemory, context: WorkerContext) -> None:
        self.workload = workload
        self.report: Optional[PodReport] = None
        self.finished = asyncio.Event()
        self.woken = asyncio.Event()
        self._memory = memory
        self._context = context
        self._saved = to_checkpoint(memory)
        self._observed: tuple[AttemptStatus, ...] = ()
        self._status_stale = True
        self._sync_due = False
        self._suspended = False
        self._suspend_seconds = 0.0
        self._changes: list[Callable[[PodMemory], PodMemory]] = []
        self._syncing: Optional[asyncio.Task[None]] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._actions: dict[Action, asyncio.Task[None]] = {}
        self._closed = False

    def start(self) -> None:
        """Begins to sync; a pod that had ended before does not need the runtime for its report."""
        if self._memory.finished:
            now = self._context.clock()
            self._apply(decide(self.workload, self._memory, self._observed, now, self._context.timing), now)
        else:
            self.wake()

    def wake(self) -> None:
        """Syncs the pod soon, even while suspended: something may have changed on the runtime."""
        self.woken.set()
        self._suspended = False
        self._status_stale = True
        self._schedule()

    def request_deletion(self, grace_seconds: float) -> None:
        now = self._context.clock()
        self._changes.append(lambda memory: request_deletion(memory, now, grace_seconds))
        self.wake()

    async def close(self) -> None:
        """Ends every task of the pod; its containers go on."""
        self._closed = True
        self._set_timer(None)
        tasks = [*self._actions.values()] + ([self._syncing] if self._syncing is not None else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _schedule(self) -> None:
        self._sync_due = True
        if self._syncing is None and not (self._suspended or self._closed or self._memory.finished):
            self._syncing = asyncio.create_task(self._sync_repeatedly(), name=f"pod {self.workload.uid}")

    async def _sync_repeatedly(self) -> None:
        try:
            while self._sync_due and not (self._suspended or self._memory.finished):
                self._sync_due = False
                await self._sync_once()
        except Exception:  # a mistake of ours or of the runtime must not end the pod's life
            log.exception("a sync of pod %s failed", self.workload.uid)
            self._suspend()
        finally:
            self._syncing = None

    async def _sync_once(self) -> None:
        changes, self._changes = self._changes, []
        for change in changes:
            self._memory = change(self._memory)
        if self._status_stale:
            self._status_stale = False
            try:
                async with self._context.status_calls:
                    self._observed = await self._context.runtime.attempts(self.workload)
            except RuntimeUnavailable as error:
                log.info("pod %s is suspended, because the container runtime is unavailable: %s", self.workload.uid, error)
                self._suspend()
                return
        now = self._context.clock()
        decision = decide(self.workload, self._memory, self._observed, now, self._context.timing)
        await self._save(decision.memory)
        self._apply(decision, now)

    def _apply(self, decision: Decision, now: float) -> None:
        self._memory = decision.memory
        if not decision.actions:
            self._suspend_seconds = 0.0
        for action in decision.actions:
            name = f"pod {self.workload.uid} {type(action).__name__}"
            self._actions[action] = asyncio.create_task(self._perform(action), name=name)
        if decision.report != self.report:
            self.report = decision.report
            self._context.publish(self.workload.uid)
        if not self._suspended:
            self._set_timer(None if decision.wake_at is None else max(0.0, decision.wake_at - now))
        if decision.memory.finished:
            for task in self._actions.values():
                task.cancel()
            self.finished.set()

    async def _save(self, memory: PodMemory) -> None:
        text = to_checkpoint(memory)
        if text != self._saved:
            saving = self._context.save(self.workload.uid, text)
            if saving is not None:
                await saving
            self._saved = text

    async def _perform(self, action: Action) -> None:
        try:
            outcome = await perform(self._context.runtime, self.workload, action, self._context.timing, self._learn_progress)
        except RuntimeUnavailable as error:
            log.info("pod %s is suspended, because the container runtime is unavailable: %s", self.workload.uid, error)
            outcome = Outcome(action, lost=True)
        except Exception as error:  # a failed step towards a start is reported and backs off; a mistake of ours kills no container
            log.exception("%s of pod %s failed", type(action).__name__, self.workload.uid)
            lost = not isinstance(action, (Prepare, EnsureImage, StartAttempt))
            outcome = Outcome(action, False, "CreateContainerError", f"internal error: {type(error).__name__}", lost)
        finally:
            self._actions.pop(action, None)
        now = self._context.clock()
        self._changes.append(lambda memory: learn(self.workload, memory, outcome, now, self._context.timing))
        self._status_stale = self._status_stale or isinstance(action, (Prepare, StartAttempt, Kill))
        if outcome.lost:
            self._suspend()
        else:
            self._schedule()

    def _learn_progress(self, container: str, words: str) -> None:
        self._changes.append(lambda memory: learn_progress(memory, container, words))
        self._schedule()

    def _suspend(self) -> None:
        """Nothing is decided, so nothing is reported, until the back-off is over or somebody wakes the pod."""
        timing = self._context.timing
        self._suspended = True
        self._suspend_seconds = min(max(self._suspend_seconds * 2, timing.unavailable_first_seconds), timing.unavailable_limit_seconds)
        self._set_timer(self._suspend_seconds)

    def _set_timer(self, delay_seconds: Optional[float]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_seconds is not None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(delay_seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._suspended:
            self.wake()
        else:
            self._schedule()
