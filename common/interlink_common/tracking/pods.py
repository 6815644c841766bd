"""`PodRecord`: what is known of one pod, and the only place where that changes.

Its methods are what can happen to a pod. They keep together what belongs together: whatever a status shows drops the answer that was
built before it, and a pod's end is reported once. A test finds any other module that assigns an attribute.
Workloads stay on disk (a pod's ConfigMaps may be megabytes); a record holds only what a status answer needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A prebuilt status answer for one shape of request. `outage`: number of the outage that it mentions, 0 for none.

    `hold_back`: not to be shown before the virtual kubelet has seen all init containers.
    """

    containers: tuple[str, ...]
    init_containers: tuple[str, ...]
    outage: int
    wire: bytes
    hold_back: bool


def _nobody(_record: PodRecord) -> None:
    """Hears of a pod's end where nothing else does."""


@dataclass(slots=True, eq=False)
class PodRecord:
    """One pod on record. Read the attributes; change them by the methods only.

    Times are unix seconds, except `requested_at`, which is on the registry's contact clock.
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
    is_restored: bool = False
    """Read from the disk, and the backend has not reported it since: interLink may know a newer state than `report`."""
    created_at: float = 0.0
    finished_at: float | None = None
    requested_at: float = 0.0
    is_orphan: bool = False
    """interLink has stopped to ask for it."""
    postponed_because: str = ""
    """Why an accepted pod is not submitted yet, for its waiting message."""
    cached: CachedAnswer | None = None
    creating: asyncio.Task[None] | None = None
    submitting: asyncio.Task[None] | None = None
    _on_ended: Callable[[PodRecord], None] = _nobody
    _removed: asyncio.Event | None = None
    _less_grace: asyncio.Event | None = None

    @classmethod
    def of(cls, workload: Workload, *, created_at: float, requested_at: float) -> PodRecord:
        """The record of a pod that is being created."""
        return cls(
            uid=workload.uid,
            namespace=workload.namespace,
            name=workload.name,
            grace_seconds=workload.grace_seconds,
            not_offloaded=frozenset(workload.not_offloaded) | frozenset(workload.not_offloaded_init),
            warnings=workload.warnings,
            created_at=created_at,
            requested_at=requested_at,
        )

    @property
    def wanted(self) -> bool:
        return self.intent in (Intent.CREATING, Intent.ACTIVE)

    @property
    def finished(self) -> bool:
        return self.report is not None and self.report.finished

    @property
    def wire_jid(self) -> str:
        """The id that interLink is given: the backend's, or the UID while (or if) there is none."""
        return self.jid or self.uid

    def report_end_to(self, on_ended: Callable[[PodRecord], None]) -> None:
        """`on_ended` is called when the pod has finished, or is removed before that; after a kill of this process perhaps again."""
        self._on_ended = on_ended

    def requested(self, contact_seconds: float) -> None:
        """interLink asked for the pod's status."""
        self.requested_at = contact_seconds
        self.is_orphan = False

    def unrequested(self) -> None:
        """interLink no longer asks for the pod."""
        self.is_orphan = True

    def cache(self, answer: CachedAnswer) -> None:
        """Keeps a status answer until something happens to the pod."""
        self.cached = answer

    def create_by(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs the pod's create, which is in `creating` until it ends."""

        def ended(_: asyncio.Task[None]) -> None:
            self.creating = None

        self.creating = _guarded(f"create-{self.uid}", work, ended)
        return self.creating

    def submit_by(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a submit to the backend, which is in `submitting` until it ends."""

        def ended(_: asyncio.Task[None]) -> None:
            self.submitting = None

        self.submitting = _guarded(f"submit-{self.uid}", work, ended)
        return self.submitting

    def submitted(self, jid: str) -> None:
        """The backend has the pod. One that was deleted meanwhile stays so."""
        self.jid, self.postponed_because = jid, ""
        if self.intent is Intent.CREATING:
            self.intent = Intent.ACTIVE
        self.cached = None

    def postponed(self, reason: str) -> None:
        """The backend could not take the pod now; it is submitted again later."""
        self.postponed_because = reason
        self.cached = None

    def adopted(self, jid: str) -> None:
        """The backend has a pod whose record was lost."""
        self.submitted(jid)
        self.is_restored = True

    def observed(self, report: PodReport, now: float) -> bool:
        """The backend reported the pod. False if that is nothing new; a pod that has finished stays as it is."""
        self.is_restored = False
        if self.finished or self.report == report:
            return False
        self._replace_report(report, now)
        return True

    def failed(self, report: PodReport, now: float) -> None:
        """The backend refused a pod that we had accepted; `report` is its end."""
        self._replace_report(report, now)

    def aborting(self) -> None:
        """The pod's create failed; what it left is to be removed."""
        self.intent = Intent.ABORTING
        self.grace_seconds = 0

    def removing(self, grace_seconds: int) -> bool:
        """The pod is to be removed. True if it was not yet; then the removal must be begun.

        One that is being removed goes faster if there is less grace now (kubectl delete, then --force); never slower.
        """
        is_new = self.wanted
        if is_new or grace_seconds < self.grace_seconds:
            self.grace_seconds = grace_seconds
            if self._less_grace is not None:
                self._less_grace.set()
        self.intent = Intent.DELETING
        return is_new

    def removed(self) -> None:
        """The backend has nothing of the pod any more. Ends what follows its logs."""
        if self._removed is not None:
            self._removed.set()
        if self.intent is Intent.DELETING and self.jid is not None and not self.finished:
            self._on_ended(self)

    def removed_event(self) -> asyncio.Event:
        """Set when the pod is removed."""
        if self._removed is None:
            self._removed = asyncio.Event()
        return self._removed

    def less_grace_event(self) -> asyncio.Event:
        """Set when a pod that is being removed is given less grace; whoever waits for it clears it."""
        if self._less_grace is None:
            self._less_grace = asyncio.Event()
        return self._less_grace

    def _replace_report(self, report: PodReport, now: float) -> None:
        self.report = report
        self.cached = None
        if report.finished:
            self.finished_at = now
            self._on_ended(self)


def _guarded(name: str, work: Coroutine[Any, Any, None], ended: Callable[[asyncio.Task[None]], None]) -> asyncio.Task[None]:
    """A task whose exception is for whoever awaits it; if nobody does, it is not reported as forgotten."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(ended)
    task.add_done_callback(lambda task: task.cancelled() or task.exception())
    return task
