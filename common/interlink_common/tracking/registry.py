"""What the parts of tracking share: the `Registry` of pods, how long interLink was in contact, and the backend's `Inventory`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import structlog

from interlink_common.backend import Backend, FoundJob
from interlink_common.background import SharedCall
from interlink_common.tracking.composition import has_failed
from interlink_common.tracking.outage import BackendState
from interlink_common.tracking.pods import PodRecord

log = structlog.get_logger(__name__)


class ContactClock:
    """Counts seconds during which interLink was in contact: gaps over a minute count as one minute.

    A pod that was not asked for during N contact seconds is an orphan; time in which interLink or we were down counts nearly nothing.
    """

    LONGEST_GAP_SECONDS = 60.0

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last_call = monotonic()
        self.seconds = 0.0

    def call(self) -> float:
        """Notes a call of interLink's; returns the clock's reading."""
        now = self._monotonic()
        self.seconds += min(now - self._last_call, self.LONGEST_GAP_SECONDS)
        self._last_call = now
        return self.seconds


@dataclass(eq=False)
class Registry:
    """All pods by UID, the tombstones of the deleted ones, and what the background work has to do."""

    backend: BackendState
    contact: ContactClock
    clock: Callable[[], float] = time.time
    pods: dict[str, PodRecord] = field(default_factory=dict)
    tombstones: dict[str, float] = field(default_factory=dict)
    """UID -> unix time of the deletion."""
    todo: asyncio.Queue[PodRecord] = field(default_factory=asyncio.Queue)
    """Pods whose intent asks for background work: a submit to repeat, or a removal."""
    recovered: bool = False
    """True after the first complete look at the backend; before it, an unknown UID may simply not be adopted yet."""
    counters: Counter[str] = field(default_factory=Counter)
    """submit_retries, cancel_retries, adopted, orphans_collected, and pods by how they ended; metrics read them."""

    def __post_init__(self) -> None:
        for record in self.pods.values():
            record.report_end_to(self._ended)

    def add(self, record: PodRecord) -> None:
        """Takes a pod in."""
        self.pods[record.uid] = record
        record.report_end_to(self._ended)

    def remove(self, record: PodRecord) -> None:
        """Forgets a pod of which the backend has nothing any more."""
        if self.pods.get(record.uid) is record:
            del self.pods[record.uid]
        record.removed()

    def _ended(self, record: PodRecord) -> None:
        result = "removed"
        if record.report is not None and record.wanted:
            result = "failed" if any(has_failed(container.state) for container in record.report.containers) else "succeeded"
        self.counters[f"pods_{result}"] += 1
        log.info("pod ended", pod_uid=record.uid, namespace=record.namespace, pod=record.name, jid=record.jid, result=result)


class Inventory:
    """Shares calls of `Backend.inventory`: hundreds of deletions after an outage cost one call, not hundreds.

    An answer is only given to those who wanted one before that call began.
    """

    def __init__(self, backend: Backend) -> None:
        async def take(_: AbstractSet[str]) -> dict[str, FoundJob]:
            return {job.pod_uid: job for job in await backend.inventory()}

        self._call = SharedCall("inventory", take)

    async def all(self) -> dict[str, FoundJob]:
        """Jobs by pod UID, as of now or later. Raises what the backend raises."""
        return await self._call()

    async def find(self, pod_uid: str) -> FoundJob | None:
        """The job that carries this pod, if the backend has one."""
        return (await self.all()).get(pod_uid)

    async def close(self) -> None:
        """Ends calls under way."""
        await self._call.close()
