"""Follows all pods of a batch backend: looks at all jobs at once, reads what podrunner has written, and reports what changed.

The state of a job says little of a pod; its event stream says the rest. A look costs one call for all jobs. A read costs a call for each,
so in one round only so many streams are read: those of jobs that have ended and those whose log somebody follows first, then whichever
was not read for longest. A stream that stays quiet is read less and less often.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import structlog

from interlink_common.background import Tasks
from interlink_common.batchsystem.jobs import Phase
from interlink_common.batchsystem.pods import FollowedPod, Row
from interlink_common.batchsystem.reports import reported
from interlink_common.batchsystem.settings import BatchSettings, StreamSettings
from interlink_common.errors import PluginError, Temporary
from interlink_common.model.report import PodReport

log = structlog.get_logger(__name__)

READ_BYTES = 1024 * 1024
"""Of one stream in one call."""
SOON_SECONDS = 0.3

PodType = TypeVar("PodType", bound="FollowedPod[Any]")
PodType_contra = TypeVar("PodType_contra", bound="FollowedPod[Any]", contravariant=True)


@dataclass(frozen=True)
class Look(Generic[Row]):
    """The jobs that are followed, by JID; others may be among them.

    `silent`: JIDs of which nothing is known, because their part of the batch system does not answer.
    """

    jobs: Mapping[str, Row]
    silent: AbstractSet[str] = field(default_factory=frozenset)


class BatchSystem(Protocol[PodType_contra]):
    """What the follower asks of a plugin: see `backend.BatchBackend`, where each is explained."""

    misses_until_gone: ClassVar[int]
    keeps_ended_jobs: ClassVar[bool]
    streams_outlive_jobs: ClassVar[bool]
    look_share: ClassVar[float]
    batch_settings: BatchSettings

    def report(self, pod: PodType_contra) -> PodReport: ...
    def requeued(self, pod: PodType_contra, row: Any) -> str: ...
    def is_removable(self, row: Any) -> bool: ...
    def unreachable(self, pod: PodType_contra) -> str: ...
    def pause_seconds(self) -> float: ...
    async def look(self) -> Look[Any]: ...
    async def looked(self) -> None: ...
    async def explain_ended(self, pods: Sequence[PodType_contra]) -> Mapping[str, Any]: ...
    async def explain_lost(self, pods: Sequence[PodType_contra]) -> Mapping[str, Any]: ...
    async def read_streams(self) -> float | None: ...
    async def read_stream(self, pod: PodType_contra, offset: int, size: int) -> bytes: ...
    async def remove_job(self, pod: PodType_contra) -> None: ...


class Follower(Generic[PodType]):
    """`pods`: those that are followed, by UID. `tasks`: work that goes on beside the looks, until `close`."""

    def __init__(self, system: BatchSystem[PodType]) -> None:
        self.pods: dict[str, PodType] = {}
        self.tasks = Tasks()
        self.look_seconds = 0.0
        """How long the last look took."""
        self._system = system
        self._changed: dict[str, None] = {}
        self._look = asyncio.Event()
        self._read = asyncio.Event()
        self._news = asyncio.Event()
        self._reads = False

    def add(self, pod: PodType) -> None:
        self.pods[pod.uid] = pod
        self.mark_changed(pod)
        self.look_soon()

    def forget(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        if pod is not None:
            pod.wake_log_followers()

    async def close(self) -> None:
        await self.tasks.close()

    def mark_changed(self, pod: PodType) -> None:
        """There may be something to report of it."""
        self._changed[pod.uid] = None

    def look_soon(self) -> None:
        """Something is expected to happen."""
        self._look.set()
        self._news.set()

    async def until(self, pod: PodType, seconds: float) -> None:
        """Waits for the next change of the pod's job, for which it is looked at again soon; so long at most."""
        self.look_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await pod.changed.wait()

    async def reports(self) -> AsyncIterator[tuple[str, PodReport]]:
        """Every pod's state, then each that changed, for ever. Raises BackendUnavailable when the batch system does not answer."""
        if not self._reads:
            self._reads = True
            self.tasks.forever("read streams", self._read_when_due)
        for pod in self.pods.values():
            pod.last_report = None
            self.mark_changed(pod)
        while True:
            began = time.monotonic()
            await self.look()
            due = began + self._pause_seconds()
            while True:
                for uid, report in self._reports_of_changed():
                    yield uid, report
                if time.monotonic() >= due or self._look.is_set():
                    break
                with suppress(TimeoutError):
                    async with asyncio.timeout(due - time.monotonic()):
                        await self._news.wait()
                self._news.clear()
            if self._look.is_set():
                await asyncio.sleep(min(max(SOON_SECONDS, self._least_pause_seconds()), self._pause_seconds()))

    def _pause_seconds(self) -> float:
        wanted = self._system.pause_seconds()
        if any(pod.being_removed for pod in self.pods.values()):
            wanted = min(wanted, SOON_SECONDS)
        return max(wanted, self._least_pause_seconds())

    def _least_pause_seconds(self) -> float:
        return self.look_seconds / self._system.look_share

    async def look(self) -> None:
        """Once, at all jobs. Raises BackendUnavailable when the batch system does not answer."""
        self._look.clear()
        began = time.monotonic()
        pods = [pod for pod in self.pods.values() if pod.since < began]
        found = await self._system.look()
        self.look_seconds = time.monotonic() - began
        lost = []
        for pod in pods:
            row = found.jobs.get(pod.jid)
            if row is not None:
                self._saw(pod, row)
            elif pod.jid not in found.silent and not pod.is_gone and self._is_lost(pod):
                lost.append(pod)
        await self._take_leave(lost)
        await self._system.looked()
        if any(map(self._is_over, self.pods.values())):
            self.tasks.unless_running("clean", self._clean)
        self._read.set()

    def _saw(self, pod: PodType, row: Any) -> None:
        pod.misses = 0
        if row is pod.row or row == pod.row:
            return
        if why := self._system.requeued(pod, row):
            pod.journal.run_is_over(why)
        pod.saw(row)
        self.mark_changed(pod)

    def _is_lost(self, pod: PodType) -> bool:
        """A job is lost when so many looks in a row have not found it: one may miss it while the batch system moves its files."""
        pod.misses += 1
        if pod.misses < self._system.misses_until_gone and not pod.being_removed:
            self._look.set()
            return False
        return True

    async def _take_leave(self, pods: Sequence[PodType]) -> None:
        """Of jobs that the batch system does not know any more. Where nobody here had them removed, it is asked why."""
        unexplained = [pod for pod in pods if not pod.being_removed and pod.final is None]
        if unexplained:
            last_rows = await self._system.explain_lost(unexplained)
            for pod in unexplained:
                log.warning("a job is not known to the batch system any more", jid=pod.jid, pod_uid=pod.uid)
                pod.last_row = last_rows.get(pod.jid)
        for pod in pods:
            pod.lost()
            self.mark_changed(pod)

    def _reports_of_changed(self) -> Iterator[tuple[str, PodReport]]:
        changed, self._changed = self._changed, {}
        for uid in changed:
            pod = self.pods.get(uid)
            report = self._report(pod) if pod is not None else None
            if pod is None or report is None:
                continue
            if report.finished and pod.final is None:
                pod.final = report
                pod.journal.end(report)
                pod.wake_log_followers()
                if self._is_over(pod):
                    self.tasks.unless_running("clean", self._clean)
            if report != pod.last_report:
                pod.last_report = report
                yield uid, report

    def _report(self, pod: PodType) -> PodReport | None:
        """The pod's state now; None: nothing new is known."""
        if pod.final is not None:
            return pod.final
        if pod.runs.current.ended:
            return reported(pod.runs, finished=True)
        is_over = pod.phase is Phase.ENDED or (pod.phase is Phase.GONE and self._system.streams_outlive_jobs)
        if pod.phase is Phase.UNSEEN or (is_over and not pod.is_read):
            return None
        return self._system.report(pod)

    def _is_over(self, pod: PodType) -> bool:
        """Whether the pod has ended, and something of its job is still to be removed."""
        if pod.final is None or pod.being_removed or pod.is_cleaned or self._system.unreachable(pod):
            return False
        if pod.row is not None:
            return self._system.is_removable(pod.row)
        return pod.is_gone and not self._system.keeps_ended_jobs

    async def _clean(self) -> None:
        """Ended pods' jobs leave the batch system; their logs are here."""
        over = [pod for pod in self.pods.values() if self._is_over(pod)]
        results = await asyncio.gather(*map(self._system.remove_job, over), return_exceptions=True)
        for pod, result in zip(over, results, strict=True):
            if isinstance(result, PluginError):
                log.warning("the job of an ended pod is removed later", jid=pod.jid, error=str(result))
            elif isinstance(result, BaseException):
                raise result
            else:
                pod.is_cleaned = not self._system.keeps_ended_jobs

    async def _read_when_due(self) -> None:
        """After each look, and sooner where a round was not enough."""
        pause: float | None = None
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._read.wait()
            self._read.clear()
            pause = await self._system.read_streams()
            self._news.set()

    async def read_round(self) -> float | None:
        """What is new of the streams, of as many pods as one round allows. Returns how soon the next is due; None: after the next look."""
        now, settings = time.monotonic(), self._stream_settings()
        due = [pod for pod in self.pods.values() if self._is_due(pod, now)]
        due.sort(key=lambda pod: (not pod.has_ended, not pod.log_followers, pod.read_at))
        some = due[: settings.reads_per_round]
        is_whole = await asyncio.gather(*map(self._read_one, some))
        whole = [pod for pod, whole in zip(some, is_whole, strict=True) if whole]
        await self._explain([pod for pod in whole if not pod.runs.current.ended and pod.row is not None])
        for pod in whole:
            pod.is_read = pod.runs.current.ended or pod.last_row is not None or pod.is_gone
        for pod in some:
            self.mark_changed(pod)
        is_short = len(due) > len(some) or any(pod.has_ended and not pod.is_read for pod in some)
        return SOON_SECONDS if is_short else None

    async def read_pod(self, pod: PodType) -> None:
        """What its stream has of new, for somebody who asks for the log."""
        if self._is_due(pod, math.inf):
            await self._read_one(pod)
            self.mark_changed(pod)
            self._news.set()

    def _is_due(self, pod: PodType, now: float) -> bool:
        if (pod.being_removed and not pod.log_followers) or self._system.unreachable(pod):
            return False
        return pod.is_due(now, self._stream_settings(), outlives=self._system.streams_outlive_jobs)

    async def _read_one(self, pod: PodType) -> bool:
        """Whether all of its stream is here, because its job had ended before."""
        async with pod.reading:
            had_ended, fresh, is_short = pod.has_ended, False, False
            try:
                while not is_short:
                    data = await self._system.read_stream(pod, pod.journal.size, READ_BYTES)
                    is_short = len(data) < READ_BYTES
                    fresh |= await asyncio.to_thread(pod.journal.append, data)
            except Temporary as error:
                log.debug("a stream is read later", jid=pod.jid, error=str(error))
                return False
            pod.was_read(time.monotonic(), self._stream_settings(), news=fresh)
            return had_ended

    async def _explain(self, pods: Sequence[PodType]) -> None:
        """Of jobs whose end was not the pod's own: what the batch system knows of it."""
        if pods:
            try:
                last_rows = await self._system.explain_ended(pods)
            except Temporary as error:
                log.debug("the cause of failures is asked for later", error=str(error))
            else:
                for pod in pods:
                    pod.last_row = last_rows.get(pod.jid)

    def _stream_settings(self) -> StreamSettings:
        settings = self._system.batch_settings.follow
        assert isinstance(settings, StreamSettings), "a plugin whose streams are read by offset has these settings"
        return settings
