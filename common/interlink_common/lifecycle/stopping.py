"""The orderly stop: preStop within the grace period, TERM, the rest of the grace period, KILL.

Source: Kubernetes "Pod Lifecycle", termination of Pods, and "Sidecar Containers": mains end together, then native sidecars in
reverse order. The grace period is one for all: a sidecar whose turn has not come by its end is told so then, and gets the
kubelet's minimum of two seconds. Their preStop hooks run at once, not in turn (kubelet: killContainer).
"""

from __future__ import annotations

from dataclasses import replace

from interlink_common.lifecycle.actions import KILL, PRE_STOP, TERM, Kill, Outcome, RunHook
from interlink_common.lifecycle.memory import DELETED, Ending, PodMemory, Stop
from interlink_common.lifecycle.seen import Seen
from interlink_common.lifecycle.turn import Turn
from interlink_common.model.workload import Container


def request_deletion(memory: PodMemory, now: float, grace_seconds: float) -> PodMemory:
    """The pod is to be stopped; a stop under way keeps its reason and is hurried if this one would be over earlier."""
    if memory.finished:
        return memory
    stop = memory.stop
    if stop is None:
        return replace(memory, stop=Stop(DELETED, "the pod was deleted", now, grace_seconds))
    if now + grace_seconds < stop.at + stop.grace_seconds:
        return replace(memory, stop=replace(stop, at=now, grace_seconds=grace_seconds))
    return memory


def end_all(turn: Turn) -> None:
    """Every running container gets its ending: the stop's, or that of a pod whose mains are through."""
    stop = turn.memory.stop
    for container in turn.pod.all_containers:
        attempt = turn.running(container)
        if attempt is None:
            continue
        if stop is not None:
            turn.end(attempt, stop.grace_seconds, stop.reason, f"{stop.reason}: {stop.message}")
        elif container.sidecar:
            turn.end(attempt, turn.pod.grace_seconds)


def carry_out(turn: Turn, *, in_turn: bool) -> None:
    """The next step of each ending. `in_turn`: the whole pod ends, so that sidecars wait for their turn."""
    for container in turn.pod.all_containers:
        attempt = turn.running(container)
        ending = turn.memory.ending(attempt) if attempt is not None else None
        if attempt is not None and ending is not None:
            _step(turn, container, attempt, ending, may_term=not in_turn or _is_turn_of(turn, container))


def learn_kill(memory: PodMemory, action: Kill, now: float) -> PodMemory:
    """The signal was sent."""
    ending = memory.endings.get(action.container)
    if ending is None or ending.attempt != action.attempt:
        return memory
    told = replace(ending, term_at=now) if action.signal == TERM else replace(ending, kill_at=now)
    return memory.with_ending(action.container, told)


def learn_pre_stop(memory: PodMemory, outcome: Outcome, container: str, attempt: int) -> PodMemory:
    """The hook is over; a failure changes nothing about the stop, but is told."""
    ending = memory.endings.get(container)
    if ending is None or ending.attempt != attempt:
        return memory
    told = [ending.message] if ending.message else []
    if not outcome.ok:
        told.append(f"PreStopHookError: {outcome.message}")
    return memory.with_ending(container, replace(ending, pre_stop_done=True, message="; ".join(told)))


def _step(turn: Turn, container: Container, attempt: Seen, ending: Ending, *, may_term: bool) -> None:
    at_once = ending.deadline <= ending.since
    if ending.kill_at is not None:
        if turn.due(ending.kill_at + turn.timing.kill_again_seconds):
            turn.emit(Kill(container.name, attempt.attempt, KILL))
    elif at_once:
        turn.emit(Kill(container.name, attempt.attempt, KILL))
    elif ending.term_at is not None:
        if turn.due(max(ending.deadline, ending.term_at + turn.timing.minimum_grace_seconds)):
            turn.emit(Kill(container.name, attempt.attempt, KILL))
    elif turn.due(ending.deadline):
        turn.emit(Kill(container.name, attempt.attempt, TERM))
    elif container.pre_stop is not None and not ending.pre_stop_done:
        turn.emit(RunHook(container.name, attempt.attempt, PRE_STOP, ending.deadline - turn.now))
    elif may_term:
        turn.emit(Kill(container.name, attempt.attempt, TERM))


def _is_turn_of(turn: Turn, container: Container) -> bool:
    if not container.sidecar:
        return True
    before = turn.pod.init_containers[: turn.pod.init_containers.index(container) + 1]
    earlier_sidecars = {c.name for c in before if c.sidecar}
    return not any(turn.alive(other) for other in turn.pod.all_containers if other.name not in earlier_sidecars)
