"""One sync of a pod, in the making: the steps read the memory, add actions and wake times, and replace the memory as they go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

from interlink_common.lifecycle.interface import RUNNING, Action, AttemptStatus, StartAttempt
from interlink_common.lifecycle.memory import ContainerTermination, PodMemory, PodTermination
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.workload import Container, Workload


class Sync:
    """Lives inside one call of `decide`, which stays pure: nothing here outlives it."""

    def __init__(self, workload: Workload, memory: PodMemory, now: float, timing: Timing) -> None:
        self.workload = workload
        self.memory = memory
        self.now = now
        self.timing = timing
        self.actions: list[Action] = []
        self.wake_at: Optional[float] = None

    def remember(self, **changes: Any) -> None:
        self.memory = replace(self.memory, **changes)

    def emit(self, action: Action) -> None:
        """Asks for the action, unless it is in flight."""
        if action not in self.memory.in_flight:
            self.actions.append(action)
            self.remember(in_flight=self.memory.in_flight | {action})

    def wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def due(self, at: float) -> bool:
        """Whether that time has come; if not, the next decision is at the latest then."""
        if self.now >= at:
            return True
        self.wake(at)
        return False

    def running(self, container: Container) -> Optional[AttemptStatus]:
        latest = self.memory.latest(container.name)
        return latest if latest is not None and latest.state == RUNNING else None

    def starting(self, container: Container) -> bool:
        """A start is under way: whether it runs is not known yet."""
        return any(isinstance(a, StartAttempt) and a.container == container.name for a in self.memory.in_flight)

    def alive(self, container: Container) -> bool:
        return self.running(container) is not None or self.starting(container)

    def terminate_pod(self, reason: str, message: str, grace_seconds: float) -> None:
        """Begins the pod's termination; the first reason stays."""
        if self.memory.termination is None:
            self.remember(termination=PodTermination(reason, message, self.now, grace_seconds))

    def terminate(
        self, attempt: AttemptStatus, grace_seconds: float, reason: str = "", message: str = "", *, restart: bool = False
    ) -> None:
        """Begins the termination of one running attempt; one under way may get less time, and a reason if it had none."""
        deadline = self.now + grace_seconds
        termination = self.memory.termination_of(attempt)
        if termination is None:
            termination = ContainerTermination(attempt.attempt, self.now, deadline, reason, message, restart)
        elif deadline < termination.deadline or (reason and not termination.reason):
            message = message if reason and not termination.reason else termination.message
            termination = replace(
                termination, deadline=min(deadline, termination.deadline), reason=termination.reason or reason, message=message
            )
        else:
            return
        self.remember(container_terminations={**self.memory.container_terminations, attempt.container: termination})
