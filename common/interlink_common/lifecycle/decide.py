"""The kubelet's decision about one pod: from what is seen and remembered to the next actions, a report and a wake time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

from interlink_common.lifecycle import inits, probing, stopping
from interlink_common.lifecycle.actions import Action, CheckStorage, Prune
from interlink_common.lifecycle.ledger import observe, sandbox_lost
from interlink_common.lifecycle.memory import DEADLINE_EXCEEDED, PodMemory
from interlink_common.lifecycle.reporting import compose
from interlink_common.lifecycle.restarts import settled
from interlink_common.lifecycle.seen import Seen
from interlink_common.lifecycle.starting import start
from interlink_common.lifecycle.timing import Timing
from interlink_common.lifecycle.turn import Turn
from interlink_common.model.report import PodReport
from interlink_common.model.workload import EmptyDirVolume, Workload


@dataclass(frozen=True)
class Decision:
    """`actions` are new: those already in flight are not repeated. `wake_at`: decide again then (unix seconds), None: on events only."""

    actions: tuple[Action, ...]
    memory: PodMemory
    report: PodReport
    wake_at: Optional[float] = None


def decide(pod: Workload, memory: PodMemory, seen: Sequence[Seen], now: float, timing: Timing = Timing()) -> Decision:  # noqa: B008  frozen
    """One decision. Once `memory.finished` is set no action follows and the report no longer changes."""
    if memory.finished:
        return Decision((), memory, compose(pod, memory, now, timing))
    turn = Turn(pod, observe(pod, memory, seen, now), now, timing)
    if sandbox_lost(seen):
        _end_without_sandbox(turn)
    if not _is_over(turn):
        _check_deadline(turn)
    if not _is_over(turn):
        _go_on(turn)
        _housekeep(turn, seen)
    over = _is_over(turn)
    if over:
        stopping.end_all(turn)
    stopping.carry_out(turn, in_turn=over)
    if over and not any(turn.alive(container) for container in pod.all_containers):
        finished = replace(turn.memory, finished=True, in_flight=frozenset())
        return Decision((), finished, compose(pod, finished, now, timing))
    return Decision(tuple(turn.actions), turn.memory, compose(pod, turn.memory, now, timing), turn.wake_at)


def _is_over(turn: Turn) -> bool:
    """Nothing is started any more: the pod is to stop, an init container failed, or every main has ended for good."""
    return (
        turn.memory.stop is not None
        or inits.failed(turn.pod, turn.memory) is not None
        or all(settled(turn.pod, turn.memory, container) for container in turn.pod.containers)
    )


def _end_without_sandbox(turn: Turn) -> None:
    for container in turn.pod.all_containers:
        attempt = turn.running(container)
        if attempt is not None:
            turn.end(attempt, 0, message="the pod sandbox vanished", restart=True)


def _check_deadline(turn: Turn) -> None:
    limit, began = turn.pod.active_deadline_seconds, turn.memory.started_at
    if limit is not None and began is not None and turn.due(began + limit):
        turn.stop(DEADLINE_EXCEEDED, "the pod was active longer than activeDeadlineSeconds", turn.pod.grace_seconds)


def _go_on(turn: Turn) -> None:
    for container in turn.pod.all_containers:
        probing.advance(turn, container)
    if not inits.advance(turn):
        return
    for container in turn.pod.containers:
        if not turn.alive(container) and not settled(turn.pod, turn.memory, container):
            start(turn, container)


def _housekeep(turn: Turn, seen: Sequence[Seen]) -> None:
    """Old attempts go, but for the newest two; local storage is measured while something runs."""
    for container in turn.pod.all_containers:
        latest = turn.memory.latest(container.name)
        oldest = min([entry.attempt for entry in seen if entry.container == container.name], default=0)
        if latest is not None and oldest < latest.attempt - 1 > turn.memory.pruned.get(container.name, 0):
            turn.emit(Prune(container.name, latest.attempt - 1))
    if _is_measured(turn) and turn.due(turn.memory.storage_due_at):
        turn.emit(CheckStorage())
        turn.remember(storage_due_at=turn.now + turn.timing.excess_seconds)


def _is_measured(turn: Turn) -> bool:
    """Something runs that may fill a limited volume, and no measurement is under way."""
    if CheckStorage() in turn.memory.in_flight or not any(turn.running(container) for container in turn.pod.all_containers):
        return False
    limits = [volume.size_limit_bytes for volume in turn.pod.volumes if isinstance(volume, EmptyDirVolume)]
    limits += [container.limits.ephemeral_storage_bytes for container in turn.pod.all_containers]
    return any(limit is not None for limit in limits)
