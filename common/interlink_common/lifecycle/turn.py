"""One decision in the making: the steps read the memory, add actions and wake times, and replace the memory as they go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

from interlink_common.lifecycle.actions import Action, StartAttempt
from interlink_common.lifecycle.memory import Ending, PodMemory, Stop
from interlink_common.lifecycle.seen import RUNNING, Seen
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.workload import Container, Workload


class Turn:
    """Lives inside one call of `decide`, which stays pure: nothing here outlives it."""

    def __init__(self, pod: Workload, memory: PodMemory, now: float, timing: Timing) -> None:
        self.pod = pod
        self.memory = memory
        self.now = now
        self.timing = timing
        self.actions: list[Action] = []
        self.wake_at: Optional[float] = None

    def remember(self, **changes: Any) -> None:
        self.memory = replace(self.memory, **changes)

    def emit(self, action: Action) -> None:
        """Asks for the action, unless it is under way."""
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

    def running(self, container: Container) -> Optional[Seen]:
        latest = self.memory.latest(container.name)
        return latest if latest is not None and latest.state == RUNNING else None

    def starting(self, container: Container) -> bool:
        """A start is under way: whether it runs is not known yet."""
        return any(isinstance(a, StartAttempt) and a.container == container.name for a in self.memory.in_flight)

    def alive(self, container: Container) -> bool:
        return self.running(container) is not None or self.starting(container)

    def stop(self, reason: str, message: str, grace_seconds: float) -> None:
        """Ends the pod; the first reason stays."""
        if self.memory.stop is None:
            self.remember(stop=Stop(reason, message, self.now, grace_seconds))

    def end(self, attempt: Seen, grace_seconds: float, reason: str = "", message: str = "", *, restart: bool = False) -> None:
        """Ends one running attempt in order; one that is being ended may be hurried, and told a reason it did not have."""
        deadline = self.now + grace_seconds
        ending = self.memory.ending(attempt)
        if ending is None:
            ending = Ending(attempt.attempt, self.now, deadline, reason, message, restart)
        elif deadline < ending.deadline or (reason and not ending.reason):
            told = message if reason and not ending.reason else ending.message
            ending = replace(ending, deadline=min(deadline, ending.deadline), reason=ending.reason or reason, message=told)
        else:
            return
        self.remember(endings={**self.memory.endings, attempt.container: ending})
