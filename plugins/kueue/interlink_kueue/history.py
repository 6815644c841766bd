"""What became of the earlier runs of a pod, kept in an annotation of its next run, so that a restart of the plugin loses nothing. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

KEPT_RUNS = 5
"""How many runs the annotation describes; of older ones it only counts the restarts."""


@dataclass(frozen=True)
class ContainerEnd:
    """How one container of a run ended. Times are unix seconds, 0 if they are not known."""

    container: str
    exit_code: int
    started_at: float = 0.0
    finished_at: float = 0.0
    container_id: str = ""


@dataclass(frozen=True)
class EndedRun:
    """One run that ended by an eviction. `restarts`: how often the remote kubelet had restarted each container, by the container's name.
    `pod`: UID of the remote pod. The names of the fields are those of the annotation."""

    reason: str
    message: str
    ends: tuple[ContainerEnd, ...] = ()
    restarts: dict[str, int] | None = None
    pod: str = ""


def from_annotation(text: str) -> tuple[EndedRun, ...]:
    """Reads the annotation's value. A value that cannot be read is an empty history."""
    try:
        return tuple(
            EndedRun(
                reason=str(run["reason"]),
                message=str(run["message"]),
                ends=tuple(ContainerEnd(**end) for end in run.get("ends") or ()),
                restarts={str(name): int(count) for name, count in (run.get("restarts") or {}).items()},
                pod=str(run.get("pod", "")),
            )
            for run in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def to_annotation(runs: tuple[EndedRun, ...]) -> str:
    """Writes the annotation's value."""
    return json.dumps([asdict(run) for run in runs], separators=(",", ":"))


def count_restarts(runs: tuple[EndedRun, ...], container: str) -> int:
    """How often a container was started again before the present run: by a kubelet, and by the runs themselves."""
    return sum((run.restarts or {}).get(container, 0) + 1 for run in runs)


def shorten(runs: tuple[EndedRun, ...]) -> tuple[EndedRun, ...]:
    """Keeps at most `KEPT_RUNS`; the first of them then holds the restarts of those that were dropped."""
    if len(runs) <= KEPT_RUNS:
        return runs
    older, kept = runs[: -KEPT_RUNS + 1], runs[-KEPT_RUNS + 1 :]
    names = {name for run in older for name in run.restarts or {}}
    restarts = {name: count_restarts(older, name) - 1 for name in names}
    return (EndedRun(older[-1].reason, older[-1].message, older[-1].ends, restarts, older[-1].pod), *kept)
