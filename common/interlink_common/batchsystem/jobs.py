"""A job of a batch system: what it asks for, the mark by which it is found again, and what is seen of it. Pure."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote

from interlink_common.batchsystem.settings import JobSettings
from interlink_common.model.codec import packed_stub, unpacked_stub
from interlink_common.model.workload import Workload

DEADLINE_MARGIN_SECONDS = 60
MARK = "interlink"

Value = TypeVar("Value")


class Phase(StrEnum):
    """How far a job is, as far as following it depends on that."""

    UNSEEN = "unseen"
    """Nobody has looked yet. The library's own, as is GONE."""
    WAITING = "waiting"
    """podrunner has not started, so that there is no stream."""
    RUNNING = "running"
    """podrunner runs, or has run and the job is not over yet: its stream may grow."""
    ENDED = "ended"
    """The job is over, and the batch system still knows it: its stream can be read to the end."""
    GONE = "gone"
    """The batch system does not know the job any more."""


class JobRow(Protocol):
    """A job as the batch system shows it, now: a frozen dataclass of the plugin with whatever its `states.py` needs.

    That it differs from the one before is a reason to report, and to read the stream soon: leave out what changes all the time.
    """

    @property
    def jid(self) -> str: ...

    @property
    def phase(self) -> Phase: ...


def cpus(workload: Workload, job: JobSettings) -> int:
    """Whole cpus: fractions, summed over the pod, are rounded up."""
    return max(math.ceil((workload.size.cpu_millis or job.default_cpu_millis) / 1000), 1)


def memory_bytes(workload: Workload, job: JobSettings) -> int:
    """What the pod asks for, and podrunner needs."""
    return (workload.size.memory_bytes or job.default_memory_bytes) + job.runner_memory_bytes


def disk_bytes(workload: Workload, job: JobSettings) -> int:
    return workload.size.ephemeral_storage_bytes or job.default_disk_bytes


def walltime_seconds(workload: Workload, limit_seconds: int | None) -> int | None:
    """After which the batch system itself may end the job. podrunner keeps the pod's deadline; this is for when it does not."""
    limits = [] if limit_seconds is None else [limit_seconds]
    if workload.active_deadline_seconds is not None:
        limits.append(workload.active_deadline_seconds + workload.grace_seconds + DEADLINE_MARGIN_SECONDS)
    return min(limits, default=None)


def mark(workload: Workload, instance: str) -> str:
    """Whose job it is, and what a report needs of its pod should our own record be lost: one word without blanks, quotes or |."""
    return f"{MARK}:{quote(instance, safe='')}:{packed_stub(workload)}"


def read_mark(text: str, instance: str) -> Workload | None:
    """The pod of a job, from its mark; None for one that is not of this instance."""
    parts = text.split(":")
    if len(parts) != 3 or parts[0] != MARK or unquote(parts[1]) != instance:
        return None
    return unpacked_stub(parts[2])
