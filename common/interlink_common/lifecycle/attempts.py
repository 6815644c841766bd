"""The attempts that the agent knows of: what the runtime reports, merged into what it remembers.

An attempt that has ended stays ended, and one that vanished while it ran has failed, never succeeded. A decision thus does not depend
on the runtime's housekeeping: somebody may remove ended containers at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Optional

from interlink_common.lifecycle.interface import CREATED, EXITED, RUNNING, SANDBOX, AttemptStatus, StartAttempt
from interlink_common.lifecycle.memory import DEADLINE_EXCEEDED, EVICTED, NOT_RESTARTABLE, ContainerTermination, PodMemory
from interlink_common.model.workload import Workload

KEPT_ATTEMPTS = 2
KILLED_CODE = 137
UNKNOWN_REASON = "ContainerStatusUnknown"
FAILING_REASONS = (DEADLINE_EXCEEDED, EVICTED, NOT_RESTARTABLE)
"""Reasons of a termination after which a pod has failed, whatever its containers' exit codes."""


def merge_observed(workload: Workload, memory: PodMemory, observed: Sequence[AttemptStatus], now: float) -> PodMemory:
    """The memory with `observed` merged in. Order of the attempts: the workload's containers, then their numbers."""
    entries: list[AttemptStatus] = []
    for container in workload.all_containers:
        known = {entry.attempt: entry for entry in memory.attempts if entry.container == container.name}
        here = {entry.attempt: entry for entry in observed if entry.container == container.name}
        merged = (
            _merge(known.get(attempt), here.get(attempt), memory.container_terminations.get(container.name), now)
            for attempt in sorted(known.keys() | here.keys())
        )
        entries.extend([entry for entry in merged if entry is not None][-KEPT_ATTEMPTS:])
    started_at = memory.started_at if memory.started_at is not None else _earliest(entries, now)
    return replace(memory, attempts=tuple(entries), started_at=started_at, prepared=memory.prepared and not is_sandbox_lost(observed))


def is_sandbox_lost(observed: Sequence[AttemptStatus]) -> bool:
    """Whether the runtime reports a sandbox that is not running."""
    return any(entry.container == SANDBOX and entry.state != RUNNING for entry in observed)


def record_failed_start(memory: PodMemory, action: StartAttempt, message: str, now: float) -> PodMemory:
    """The memory with an attempt that the runtime could not run: the kubelet's ContainerCannotRun, exit code 128."""
    entry = AttemptStatus(
        action.container,
        action.attempt,
        EXITED,
        finished_at=now,
        exit_code=128,
        reason="ContainerCannotRun",
        message=message,
        backoff_seconds=action.backoff_seconds,
    )
    others = tuple(old for old in memory.attempts if (old.container, old.attempt) != (entry.container, entry.attempt))
    return replace(memory, attempts=(*others, entry))


def _merge(
    known: Optional[AttemptStatus], here: Optional[AttemptStatus], termination: Optional[ContainerTermination], now: float
) -> Optional[AttemptStatus]:
    if known is not None and known.state == EXITED:
        return known
    if here is None:
        if known is None or known.state == CREATED:
            return None
        message = "the container was removed from the runtime by somebody else"
        here = replace(known, state=EXITED, exit_code=KILLED_CODE, reason=UNKNOWN_REASON, message=message)
    if here.state != EXITED:
        return here
    finished_at = now if here.finished_at is None else min(here.finished_at, now)
    ours = termination if termination is not None and termination.attempt == here.attempt else None
    return replace(_with_cause(here, ours), finished_at=finished_at)


def _with_cause(attempt: AttemptStatus, termination: Optional[ContainerTermination]) -> AttemptStatus:
    """The attempt with its reason in the message, too: interLink overwrites terminated.reason, only the message reaches the user."""
    code = KILLED_CODE if attempt.exit_code is None else attempt.exit_code
    reason, cause = attempt.reason, ""
    if attempt.oom_killed and code != 0:
        reason, cause = "OOMKilled", "OOMKilled: the container used more memory than its limit"
    elif termination is not None:
        code = KILLED_CODE if termination.reason in FAILING_REASONS and code == 0 else code
        reason, cause = termination.reason if termination.reason in FAILING_REASONS else "", termination.message
    elif reason == UNKNOWN_REASON:
        cause, attempt = f"{UNKNOWN_REASON}: {attempt.message}", replace(attempt, message="")
    message = f"{cause}: {attempt.message}" if cause and attempt.message else cause or attempt.message
    return replace(attempt, exit_code=code, reason=reason or ("Completed" if code == 0 else "Error"), message=message)


def _earliest(entries: Iterable[AttemptStatus], now: float) -> float:
    return min([entry.started_at for entry in entries if entry.started_at is not None] + [now])
