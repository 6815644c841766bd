"""What the parts of tracking share: the `Registry` of pods, whether the backend answers, how long interLink was in contact, `Inventory`."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import structlog

from interlink_common.backend import Backend, FoundJob
from interlink_common.background import SharedCall
from interlink_common.tracking.composition import has_failed, rfc3339
from interlink_common.tracking.pods import PodRecord

log = structlog.get_logger(__name__)


_OUTAGE = re.compile(r" ?the \S+ backend is unreachable since \S+(?: \(.*?\))?; this is the last known state")


def without_outage(message: str) -> str:
    """A waiting message without what `BackendState.sentence` once added to it."""
    return _OUTAGE.sub("", message)


class BackendState:
    """Whether the backend answers. While it does not, every pod keeps its last state and says since when."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._count = 0
        self.down_since: float | None = None
        self.cause = ""
        """Why, in the backend's own words."""
        self.outage = 0
        """Number of the present outage and cause, 0 while the backend answers: a cached answer of another number is stale."""
        self.up = asyncio.Event()
        """Set while the backend answers; not yet set before its first answer."""
        self.tried = asyncio.Event()
        """Set once it has answered, or failed to, for the first time."""

    def lost(self, cause: str = "") -> None:
        self.up.clear()
        self.tried.set()
        if self.down_since is None:
            self.down_since = self._clock()
        elif cause == self.cause:
            return
        self.cause = cause
        self._count += 1
        self.outage = self._count

    def back(self) -> None:
        self.down_since = None
        self.outage = 0
        self.up.set()
        self.tried.set()

    @property
    def sentence(self) -> str:
        """What waiting messages say of an outage, "" while the backend answers."""
        if self.down_since is None:
            return ""
        cause = f" ({self.cause})" if self.cause else ""
        return f"the {self._name} backend is unreachable since {rfc3339(self.down_since)}{cause}; this is the last known state"


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
