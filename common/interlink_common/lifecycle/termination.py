"""Termination: preStop within the grace period, TERM, the rest of the grace period, KILL.

Source: Kubernetes "Pod Lifecycle", termination of Pods, and "Sidecar Containers": mains end together, then native sidecars in
reverse order. The grace period is one for all: a sidecar that still waits for its turn at its end gets TERM then, and the
kubelet's minimum of two seconds. Their preStop hooks run at once, not in turn (kubelet: killContainer).
"""

from __future__ import annotations

from dataclasses import replace

from interlink_common.lifecycle.interface import KILL, PRE_STOP, TERM, AttemptStatus, Kill, Outcome, RunHook
from interlink_common.lifecycle.memory import DELETED, ContainerTermination, PodMemory, PodTermination
from interlink_common.lifecycle.sync import Sync
from interlink_common.model.workload import Container


def request_deletion(memory: PodMemory, now: float, grace_seconds: float) -> PodMemory:
    """The memory of a pod that is to be deleted. A termination under way keeps its reason, and its deadline unless this one is earlier."""
    if memory.finished:
        return memory
    termination = memory.termination
    if termination is None:
        return replace(memory, termination=PodTermination(DELETED, "the pod was deleted", now, grace_seconds))
    if now + grace_seconds < termination.at + termination.grace_seconds:
        return replace(memory, termination=replace(termination, at=now, grace_seconds=grace_seconds))
    return memory


def terminate_all(sync: Sync) -> None:
    """Begins the termination of every running container: of all if the pod terminates, of sidecars when the mains have ended."""
    termination = sync.memory.termination
    for container in sync.workload.all_containers:
        attempt = sync.running(container)
        if attempt is None:
            continue
        if termination is not None:
            sync.terminate(attempt, termination.grace_seconds, termination.reason, f"{termination.reason}: {termination.message}")
        elif container.sidecar:
            sync.terminate(attempt, sync.workload.grace_seconds)


def advance(sync: Sync, *, sidecars_last: bool) -> None:
    """Takes the next step of each termination. `sidecars_last`: the whole pod ends, so a sidecar waits for what started after it."""
    for container in sync.workload.all_containers:
        attempt = sync.running(container)
        termination = sync.memory.termination_of(attempt) if attempt is not None else None
        if attempt is not None and termination is not None:
            _step(sync, container, attempt, termination, may_term=not sidecars_last or _may_terminate_sidecar(sync, container))


def learn_kill(memory: PodMemory, action: Kill, now: float) -> PodMemory:
    """The signal was sent."""
    termination = memory.container_terminations.get(action.container)
    if termination is None or termination.attempt != action.attempt:
        return memory
    changed = replace(termination, term_at=now) if action.signal == TERM else replace(termination, kill_at=now)
    return memory.with_container_termination(action.container, changed)


def learn_pre_stop(memory: PodMemory, outcome: Outcome, container: str, attempt: int) -> PodMemory:
    """The hook is over; a failure does not change the termination, but its message goes into the container's."""
    termination = memory.container_terminations.get(container)
    if termination is None or termination.attempt != attempt:
        return memory
    messages = [termination.message] if termination.message else []
    if not outcome.ok:
        messages.append(f"PreStopHookError: {outcome.message}")
    return memory.with_container_termination(container, replace(termination, pre_stop_done=True, message="; ".join(messages)))


def _step(sync: Sync, container: Container, attempt: AttemptStatus, termination: ContainerTermination, *, may_term: bool) -> None:
    at_once = termination.deadline <= termination.since
    if termination.kill_at is not None:
        if sync.due(termination.kill_at + sync.timing.kill_again_seconds):
            sync.emit(Kill(container.name, attempt.attempt, KILL))
    elif at_once:
        sync.emit(Kill(container.name, attempt.attempt, KILL))
    elif termination.term_at is not None:
        if sync.due(max(termination.deadline, termination.term_at + sync.timing.minimum_grace_seconds)):
            sync.emit(Kill(container.name, attempt.attempt, KILL))
    elif sync.due(termination.deadline):
        sync.emit(Kill(container.name, attempt.attempt, TERM))
    elif container.pre_stop is not None and not termination.pre_stop_done:
        sync.emit(RunHook(container.name, attempt.attempt, PRE_STOP, termination.deadline - sync.now))
    elif may_term:
        sync.emit(Kill(container.name, attempt.attempt, TERM))


def _may_terminate_sidecar(sync: Sync, container: Container) -> bool:
    if not container.sidecar:
        return True
    before = sync.workload.init_containers[: sync.workload.init_containers.index(container) + 1]
    earlier_sidecars = {c.name for c in before if c.sidecar}
    return not any(sync.alive(other) for other in sync.workload.all_containers if other.name not in earlier_sidecars)
