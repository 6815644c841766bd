"""One pod's life on the agent: looks, decides, carries out, and sleeps without a task until something is due.

A turn is one look and one decision. Between turns a pod costs its memory and at most one timer; actions run as background
tasks whose results are queued and fed in at the start of the next turn, *before* the next look, so that a look is never older
than what was learned from an action.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Optional, Union

from interlink_common.agent.performing import perform
from interlink_common.agent.runtime import Runtime, RuntimeUnavailable
from interlink_common.lifecycle.actions import Action, EnsureImage, Kill, Outcome, Prepare, StartAttempt
from interlink_common.lifecycle.decide import Decision, decide
from interlink_common.lifecycle.feedback import learn, learn_progress
from interlink_common.lifecycle.memory import PodMemory, to_json
from interlink_common.lifecycle.seen import Seen
from interlink_common.lifecycle.stopping import request_deletion
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload

log = logging.getLogger(__name__)

Save = Callable[[str, str], Union[Awaitable[None], None]]


@dataclass(frozen=True)
class Surroundings:
    """What all workers of one agent share. `looks` bounds how many ask the runtime for states at once."""

    runtime: Runtime
    save: Save
    publish: Callable[[str], None]
    clock: Callable[[], float]
    timing: Timing
    looks: asyncio.Semaphore


class PodWorker:
    """`report` is None until the first look; `over` is set when the pod has ended for good."""

    def __init__(self, pod: Workload, memory: PodMemory, around: Surroundings) -> None:
        self.pod = pod
        self.report: Optional[PodReport] = None
        self.over = asyncio.Event()
        self.nudged = asyncio.Event()
        self._memory = memory
        self._around = around
        self._saved = to_json(memory)
        self._seen: tuple[Seen, ...] = ()
        self._stale = True
        self._due = False
        self._frozen = False
        self._freeze_seconds = 0.0
        self._changes: list[Callable[[PodMemory], PodMemory]] = []
        self._turning: Optional[asyncio.Task[None]] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._operations: dict[Action, asyncio.Task[None]] = {}
        self._closed = False

    def start(self) -> None:
        """The first turn; a pod that had ended before needs no look for it."""
        if self._memory.finished:
            now = self._around.clock()
            self._carry_out(decide(self.pod, self._memory, self._seen, now, self._around.timing), now)
        else:
            self.wake()

    def wake(self) -> None:
        """Something may have changed on the runtime: look and decide, also when frozen."""
        self.nudged.set()
        self._frozen = False
        self._stale = True
        self._schedule()

    def request_deletion(self, grace_seconds: float) -> None:
        now = self._around.clock()
        self._changes.append(lambda memory: request_deletion(memory, now, grace_seconds))
        self.wake()

    async def close(self) -> None:
        """Ends every task of the pod; its containers go on."""
        self._closed = True
        self._set_timer(None)
        tasks = [*self._operations.values()] + ([self._turning] if self._turning is not None else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _schedule(self) -> None:
        self._due = True
        if self._turning is None and not (self._frozen or self._closed or self._memory.finished):
            self._turning = asyncio.create_task(self._turns(), name=f"pod {self.pod.uid}")

    async def _turns(self) -> None:
        try:
            while self._due and not (self._frozen or self._memory.finished):
                self._due = False
                await self._turn()
        except Exception:  # a mistake of ours or of the runtime must not end the pod's life
            log.exception("a turn of pod %s failed", self.pod.uid)
            self._freeze()
        finally:
            self._turning = None

    async def _turn(self) -> None:
        changes, self._changes = self._changes, []
        for change in changes:
            self._memory = change(self._memory)
        if self._stale:
            self._stale = False
            try:
                async with self._around.looks:
                    self._seen = await self._around.runtime.seen(self.pod)
            except RuntimeUnavailable as error:
                log.info("pod %s is frozen: %s", self.pod.uid, error)
                self._freeze()
                return
        now = self._around.clock()
        decision = decide(self.pod, self._memory, self._seen, now, self._around.timing)
        await self._save(decision.memory)
        self._carry_out(decision, now)

    def _carry_out(self, decision: Decision, now: float) -> None:
        self._memory = decision.memory
        if not decision.actions:
            self._freeze_seconds = 0.0
        for action in decision.actions:
            name = f"pod {self.pod.uid} {type(action).__name__}"
            self._operations[action] = asyncio.create_task(self._operate(action), name=name)
        if decision.report != self.report:
            self.report = decision.report
            self._around.publish(self.pod.uid)
        if not self._frozen:
            self._set_timer(None if decision.wake_at is None else max(0.0, decision.wake_at - now))
        if decision.memory.finished:
            for task in self._operations.values():
                task.cancel()
            self.over.set()

    async def _save(self, memory: PodMemory) -> None:
        text = to_json(memory)
        if text != self._saved:
            saving = self._around.save(self.pod.uid, text)
            if saving is not None:
                await saving
            self._saved = text

    async def _operate(self, action: Action) -> None:
        try:
            outcome = await perform(self._around.runtime, self.pod, action, self._around.timing, self._learn_progress)
        except RuntimeUnavailable as error:
            log.info("pod %s is frozen: %s", self.pod.uid, error)
            outcome = Outcome(action, lost=True)
        except Exception as error:  # a step towards a start tells of it and backs off; a mistake of ours kills no container
            log.exception("%s of pod %s failed", type(action).__name__, self.pod.uid)
            told, lost = f"internal error: {type(error).__name__}", not isinstance(action, (Prepare, EnsureImage, StartAttempt))
            outcome = Outcome(action, ok=False, reason="CreateContainerError", message=told, lost=lost)
        finally:
            self._operations.pop(action, None)
        now = self._around.clock()
        self._changes.append(lambda memory: learn(self.pod, memory, outcome, now, self._around.timing))
        self._stale = self._stale or isinstance(action, (Prepare, StartAttempt, Kill))
        if outcome.lost:
            self._freeze()
        else:
            self._schedule()

    def _learn_progress(self, container: str, words: str) -> None:
        self._changes.append(lambda memory: learn_progress(memory, container, words))
        self._schedule()

    def _freeze(self) -> None:
        """Nothing is decided, so nothing is reported, until the back-off is over or somebody wakes the pod."""
        timing = self._around.timing
        self._frozen = True
        self._freeze_seconds = min(max(self._freeze_seconds * 2, timing.unavailable_first_seconds), timing.unavailable_limit_seconds)
        self._set_timer(self._freeze_seconds)

    def _set_timer(self, delay_seconds: Optional[float]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_seconds is not None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(delay_seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._frozen:
            self.wake()
        else:
            self._schedule()
