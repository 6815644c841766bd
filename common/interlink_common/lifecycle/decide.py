"""The kubelet's decision about one pod: from what is reported and remembered to the next actions, a report and a wake time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

from interlink_common.lifecycle import inits, probing, termination
from interlink_common.lifecycle.attempts import is_sandbox_lost, merge_observed
from interlink_common.lifecycle.interface import Action, AttemptStatus, CheckStorage, Prune
from interlink_common.lifecycle.memory import DEADLINE_EXCEEDED, PodMemory
from interlink_common.lifecycle.reporting import compose_report
from interlink_common.lifecycle.starting import has_ended_for_good, start
from interlink_common.lifecycle.sync import Sync
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import PodReport
from interlink_common.model.workload import EmptyDirVolume, Workload


@dataclass(frozen=True)
class Decision:
    """`actions` are new: those already in flight are not repeated. `wake_at`: decide again then (unix seconds), None: on events only."""

    actions: tuple[Action, ...]
    memory: PodMemory
    report: PodReport
    wake_at: Optional[float] = None


def decide(workload: Workload, memory: PodMemory, observed: Sequence[AttemptStatus], now: float, timing: Timing = Timing()) -> Decision:  # noqa: B008  frozen
    """One decision. Once `memory.finished` is set no action follows and the report no longer changes."""
    if memory.finished:
        return Decision((), memory, compose_report(workload, memory, now, timing))
    sync = Sync(workload, merge_observed(workload, memory, observed, now), now, timing)
    if is_sandbox_lost(observed):
        _end_without_sandbox(sync)
    if not _is_over(sync):
        _check_deadline(sync)
    if not _is_over(sync):
        _advance_containers(sync)
        _housekeep(sync, observed)
    is_over = _is_over(sync)
    if is_over:
        termination.terminate_all(sync)
    termination.advance(sync, sidecars_last=is_over)
    if is_over and not any(sync.alive(container) for container in workload.all_containers):
        finished = replace(sync.memory, finished=True, in_flight=frozenset())
        return Decision((), finished, compose_report(workload, finished, now, timing))
    return Decision(tuple(sync.actions), sync.memory, compose_report(workload, sync.memory, now, timing), sync.wake_at)


def _is_over(sync: Sync) -> bool:
    """Nothing is started any more: the pod is to stop, an init container failed, or every main has ended for good."""
    return (
        sync.memory.termination is not None
        or inits.failed(sync.workload, sync.memory) is not None
        or all(has_ended_for_good(sync.workload, sync.memory, container) for container in sync.workload.containers)
    )


def _end_without_sandbox(sync: Sync) -> None:
    for container in sync.workload.all_containers:
        attempt = sync.running(container)
        if attempt is not None:
            sync.terminate(attempt, 0, message="the pod sandbox vanished", restart=True)


def _check_deadline(sync: Sync) -> None:
    limit, began = sync.workload.active_deadline_seconds, sync.memory.started_at
    if limit is not None and began is not None and sync.due(began + limit):
        sync.terminate_pod(DEADLINE_EXCEEDED, "the pod was active longer than activeDeadlineSeconds", sync.workload.grace_seconds)


def _advance_containers(sync: Sync) -> None:
    for container in sync.workload.all_containers:
        probing.advance(sync, container)
    if not inits.advance(sync):
        return
    for container in sync.workload.containers:
        if not sync.alive(container) and not has_ended_for_good(sync.workload, sync.memory, container):
            start(sync, container)


def _housekeep(sync: Sync, observed: Sequence[AttemptStatus]) -> None:
    """Old attempts go, but for the newest two; local storage is measured while something runs."""
    for container in sync.workload.all_containers:
        latest = sync.memory.latest(container.name)
        oldest = min([entry.attempt for entry in observed if entry.container == container.name], default=0)
        if latest is not None and oldest < latest.attempt - 1 > sync.memory.pruned.get(container.name, 0):
            sync.emit(Prune(container.name, latest.attempt - 1))
    if _is_measured(sync) and sync.due(sync.memory.storage_due_at):
        sync.emit(CheckStorage())
        sync.remember(storage_due_at=sync.now + sync.timing.excess_seconds)


def _is_measured(sync: Sync) -> bool:
    """Something runs that may fill a limited volume, and no measurement is under way."""
    if CheckStorage() in sync.memory.in_flight or not any(sync.running(container) for container in sync.workload.all_containers):
        return False
    limits = [volume.size_limit_bytes for volume in sync.workload.volumes if isinstance(volume, EmptyDirVolume)]
    limits += [container.limits.ephemeral_storage_bytes for container in sync.workload.all_containers]
    return any(limit is not None for limit in limits)
