"""The steps to a running container: prepare the pod once, have the image, start the attempt; each held back after a failure."""

from __future__ import annotations

from typing import Optional

from interlink_common.lifecycle.actions import EnsureImage, Prepare, StartAttempt
from interlink_common.lifecycle.memory import NOT_RESTARTABLE
from interlink_common.lifecycle.restarts import backoff_seconds, restart_at
from interlink_common.lifecycle.seen import CREATED, Seen
from interlink_common.lifecycle.turn import Turn
from interlink_common.model.workload import Container

CANNOT_START = "the container can not be started: the plugin lost its state and knows this pod only from its labels; create the pod again"


def start(turn: Turn, container: Container) -> None:
    """The next step towards the next attempt; `container` is neither alive nor settled."""
    if turn.memory.adopted:
        turn.stop(NOT_RESTARTABLE, CANNOT_START, turn.pod.grace_seconds)
        return
    latest = turn.memory.latest(container.name)
    attempt, delay = next_attempt(turn, latest)
    if latest is not None and latest.state != CREATED and not turn.due(restart_at(latest, turn.timing)):
        return
    if not turn.memory.prepared:
        if not held(turn, ""):
            turn.emit(Prepare())
    elif held(turn, container.name):
        return
    elif (container.name, attempt) in turn.memory.images:
        turn.emit(StartAttempt(container.name, attempt, delay))
    else:
        turn.emit(EnsureImage(container.name, attempt))


def next_attempt(turn: Turn, latest: Optional[Seen]) -> tuple[int, float]:
    """Number and back-off of the attempt to start. One that was created but never started is started under its number."""
    if latest is None:
        return 0, 0.0
    if latest.state == CREATED:
        return latest.attempt, latest.backoff_seconds
    return latest.attempt + 1, backoff_seconds(latest, turn.timing)


def held(turn: Turn, container: str) -> bool:
    """A failed step waits for its back-off; on the way its waiting reason changes once."""
    hold = turn.memory.holds.get(container)
    if hold is None or turn.due(hold.until):
        return False
    turn.due(hold.halfway)
    return True
