"""What a job asks for, as far as it is the same for every batch system. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

from interlink_common.model.workload import Workload

DEADLINE_MARGIN_SECONDS = 60

Value = TypeVar("Value")


def first_fit(patterns: Mapping[str, Value], name: str) -> Value | None:
    """What the first pattern stands for that fits the name; * stands for anything."""
    return next((value for pattern, value in patterns.items() if fnmatchcase(name, pattern)), None)


def walltime_seconds(pod: Workload, limit_seconds: int | None) -> int | None:
    """After which the batch system itself may end the job. podrunner keeps the pod's deadline; this is for when it does not."""
    limits = [] if limit_seconds is None else [limit_seconds]
    if pod.active_deadline_seconds is not None:
        limits.append(pod.active_deadline_seconds + pod.grace_seconds + DEADLINE_MARGIN_SECONDS)
    return min(limits, default=None)
