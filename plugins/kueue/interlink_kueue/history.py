"""What became of earlier runs of a pod: in an annotation of the next run, so that a restart of the plugin loses nothing. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

KEPT = 5
"""Runs told of; older ones only count."""


@dataclass(frozen=True)
class End:
    """How one container of a run ended. Times are unix seconds; 0 if they are not known."""

    container: str
    exit_code: int
    started_at: float = 0.0
    finished_at: float = 0.0
    container_id: str = ""


@dataclass(frozen=True)
class Past:
    """One run that was evicted. `restarts`: how often each container had been restarted by the remote kubelet, by name. `pod`: UID of the
    remote pod."""

    reason: str
    message: str
    ends: tuple[End, ...] = ()
    restarts: dict[str, int] | None = None
    pod: str = ""


def read(text: str) -> tuple[Past, ...]:
    """The annotation's value; what can't be read is no history."""
    try:
        return tuple(
            Past(
                reason=str(one["reason"]),
                message=str(one["message"]),
                ends=tuple(End(**end) for end in one.get("ends") or ()),
                restarts={str(name): int(count) for name, count in (one.get("restarts") or {}).items()},
                pod=str(one.get("pod", "")),
            )
            for one in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()


def written(past: tuple[Past, ...]) -> str:
    """The annotation's value."""
    return json.dumps([asdict(one) for one in past], separators=(",", ":"))


def restarts(past: tuple[Past, ...], container: str) -> int:
    """How often a container was started again before the present run: by the kubelet, and by the runs themselves."""
    return sum((one.restarts or {}).get(container, 0) + 1 for one in past)


def folded(past: tuple[Past, ...]) -> tuple[Past, ...]:
    """At most `KEPT` of them, with the older ones' counts in the first."""
    if len(past) <= KEPT:
        return past
    older, kept = past[: -KEPT + 1], past[-KEPT + 1 :]
    names = {name for one in older for name in one.restarts or {}}
    counts = {name: restarts(older, name) - 1 for name in names}
    return (Past(older[-1].reason, older[-1].message, older[-1].ends, counts, older[-1].pod), *kept)
