"""What the virtual node keeps in memory: one small `Pod` per record, and the `Registry` that every part of tracking shares.

Workloads stay on disk (a pod's ConfigMaps may be megabytes); a `Pod` holds only what a status answer needs.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload


class Intent(StrEnum):
    """What is to become of a pod. It is durable before anything is done about it."""

    CREATING = "creating"
    """Recorded; whether the backend has it is not known yet."""
    ACTIVE = "active"
    """The backend answered with a JID."""
    DELETING = "deleting"
    """interLink (or the collector) deleted it; the backend may still have it."""
    ABORTING = "aborting"
    """Its create failed; the backend may have something of it. Unlike DELETING it leaves no tombstone."""
    DELETED = "deleted"
    """A tombstone: this UID is never created again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A prebuilt status answer for one shape of request. `frozen_epoch`: the outage it speaks of, 0 for none.

    `hold_back`: not to be shown before the virtual kubelet has seen all init containers.
    """

    containers: tuple[str, ...]
    init_containers: tuple[str, ...]
    frozen_epoch: int
    wire: bytes
    hold_back: bool


@dataclass(slots=True, eq=False)
class Pod:
    """One pod on record. Times are unix seconds, except `asked_at`, which is on the registry's contact clock.

    `observed`: false between a restart and the backend's first word of this pod, while `report` may be older than what interLink knows.
    """

    uid: str
    namespace: str = ""
    name: str = ""
    intent: Intent = Intent.CREATING
    jid: str | None = None
    grace_seconds: int = 30
    not_offloaded: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    report: PodReport | None = None
    observed: bool = True
    created_at: float = 0.0
    finished_at: float | None = None
    asked_at: float = 0.0
    orphan: bool = False
    trouble: str = ""
    """Why an accepted pod is not submitted yet, for its waiting message."""
    entry: Entry | None = None
    creating: asyncio.Task[None] | None = None
    submitting: asyncio.Task[None] | None = None
    gone: asyncio.Event | None = None
    hurried: asyncio.Event | None = None
    """There while the backend is removing the pod; set when less grace was asked for meanwhile."""

    @classmethod
    def of(cls, workload: Workload, *, created_at: float) -> Pod:
        return cls(
            uid=workload.uid,
            namespace=workload.namespace,
            name=workload.name,
            grace_seconds=workload.grace_seconds,
            not_offloaded=frozenset(workload.not_offloaded) | frozenset(workload.not_offloaded_init),
            warnings=workload.warnings,
            created_at=created_at,
        )

    @property
    def wanted(self) -> bool:
        return self.intent in (Intent.CREATING, Intent.ACTIVE)

    @property
    def finished(self) -> bool:
        return self.report is not None and self.report.finished

    @property
    def wire_jid(self) -> str:
        """The id told to interLink: the backend's, or the UID while (or if) there was none to tell."""
        return self.jid or self.uid


def rfc3339(unix_seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time is written."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_OUTAGE = re.compile(r" ?the \S+ backend is unreachable since \S+(?: \(.*?\))?; this is the last known state")


def without_outage(message: str) -> str:
    """A waiting message without what `BackendState.sentence` once added to it."""
    return _OUTAGE.sub("", message)


class BackendState:
    """Whether the backend answers. While it does not, every pod keeps its last state and says since when."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._outages = 0
        self.down_since: float | None = None
        self.cause = ""
        """Why, in the backend's own words."""
        self.epoch = 0
        """Number of the present outage and cause, 0 while the backend answers: prebuilt answers of another epoch are stale."""
        self.up = asyncio.Event()
        """Set while the backend answers; not yet set before its first answer."""
        self.known = asyncio.Event()
        """Set once it has answered, or failed to, for the first time."""

    def lost(self, cause: str = "") -> None:
        self.up.clear()
        self.known.set()
        if self.down_since is None:
            self.down_since = self._clock()
        elif cause == self.cause:
            return
        self.cause = cause
        self._outages += 1
        self.epoch = self._outages

    def back(self) -> None:
        self.down_since = None
        self.epoch = 0
        self.up.set()
        self.known.set()

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
    """All pods by UID, the graves of the deleted ones, and what the background work has to do."""

    backend: BackendState
    contact: ContactClock
    clock: Callable[[], float] = time.time
    pods: dict[str, Pod] = field(default_factory=dict)
    tombstones: dict[str, float] = field(default_factory=dict)
    """UID -> unix time of the deletion."""
    todo: asyncio.Queue[Pod] = field(default_factory=asyncio.Queue)
    """Pods whose intent asks for background work: a submit to repeat, or a removal."""
    recovered: bool = False
    """True after the first complete look at the backend; before it, an unknown UID may simply not be adopted yet."""
    counters: Counter[str] = field(default_factory=Counter)
    """submit_retries, cancel_retries, adopted, orphans_collected; metrics read them."""

    def remove(self, pod: Pod) -> None:
        """Forgets a pod and ends what follows its logs."""
        if self.pods.get(pod.uid) is pod:
            del self.pods[pod.uid]
        if pod.gone is not None:
            pod.gone.set()
