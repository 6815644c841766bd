"""Merges what is seen into what is remembered: ended stays ended, and what vanished while running has failed, never succeeded.

The ledger makes a decision independent of the runtime's housekeeping: somebody may prune ended containers at any time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Optional

from interlink_common.lifecycle.actions import StartAttempt
from interlink_common.lifecycle.memory import DEADLINE_EXCEEDED, EVICTED, NOT_RESTARTABLE, Ending, PodMemory
from interlink_common.lifecycle.seen import CREATED, EXITED, RUNNING, SANDBOX, Seen
from interlink_common.model.workload import Workload

KEPT_ATTEMPTS = 2
KILLED_CODE = 137
UNKNOWN_REASON = "ContainerStatusUnknown"
FAILING_STOPS = (DEADLINE_EXCEEDED, EVICTED, NOT_RESTARTABLE)
"""Stops after which a pod has failed, whatever its containers' exit codes."""


def observe(pod: Workload, memory: PodMemory, seen: Sequence[Seen], now: float) -> PodMemory:
    """The memory with `seen` merged in. Order of the ledger: the workload's containers, then attempts."""
    entries: list[Seen] = []
    for container in pod.all_containers:
        known = {entry.attempt: entry for entry in memory.ledger if entry.container == container.name}
        here = {entry.attempt: entry for entry in seen if entry.container == container.name}
        merged = (
            _merge(known.get(attempt), here.get(attempt), memory.endings.get(container.name), now)
            for attempt in sorted(known.keys() | here.keys())
        )
        entries.extend([entry for entry in merged if entry is not None][-KEPT_ATTEMPTS:])
    started_at = memory.started_at if memory.started_at is not None else _earliest(entries, now)
    return replace(memory, ledger=tuple(entries), started_at=started_at, prepared=memory.prepared and not sandbox_lost(seen))


def sandbox_lost(seen: Sequence[Seen]) -> bool:
    """The runtime tells of a sandbox, and it is not running."""
    return any(entry.container == SANDBOX and entry.state != RUNNING for entry in seen)


def spend(memory: PodMemory, action: StartAttempt, message: str, now: float) -> PodMemory:
    """An attempt that the runtime could not run: the kubelet's ContainerCannotRun, exit code 128."""
    entry = Seen(
        action.container,
        action.attempt,
        EXITED,
        finished_at=now,
        exit_code=128,
        reason="ContainerCannotRun",
        message=message,
        backoff_seconds=action.backoff_seconds,
    )
    others = tuple(old for old in memory.ledger if (old.container, old.attempt) != (entry.container, entry.attempt))
    return replace(memory, ledger=(*others, entry))


def _merge(known: Optional[Seen], here: Optional[Seen], ending: Optional[Ending], now: float) -> Optional[Seen]:
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
    ours = ending if ending is not None and ending.attempt == here.attempt else None
    return replace(_with_cause(here, ours), finished_at=finished_at)


def _with_cause(attempt: Seen, ending: Optional[Ending]) -> Seen:
    """The reason in words too: interLink overwrites terminated.reason, only the message reaches the person."""
    code = KILLED_CODE if attempt.exit_code is None else attempt.exit_code
    reason, cause = attempt.reason, ""
    if attempt.oom_killed and code != 0:
        reason, cause = "OOMKilled", "OOMKilled: the container used more memory than its limit"
    elif ending is not None:
        code = KILLED_CODE if ending.reason in FAILING_STOPS and code == 0 else code
        reason, cause = ending.reason if ending.reason in FAILING_STOPS else "", ending.message
    elif reason == UNKNOWN_REASON:
        cause, attempt = f"{UNKNOWN_REASON}: {attempt.message}", replace(attempt, message="")
    message = f"{cause}: {attempt.message}" if cause and attempt.message else cause or attempt.message
    return replace(attempt, exit_code=code, reason=reason or ("Completed" if code == 0 else "Error"), message=message)


def _earliest(entries: Iterable[Seen], now: float) -> float:
    return min([entry.started_at for entry in entries if entry.started_at is not None] + [now])
