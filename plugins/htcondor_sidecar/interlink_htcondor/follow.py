"""Follows all pods with one bulk query for all of them, fetches what their spools have of new, and tells what changed.

A query is due every `poll_seconds`, or as soon as the event log tells of something where it can be read. What costs more, a fetch of
spool directories, goes on beside it, so that a large log holds up nobody's state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from interlink_common.background import Tasks
from interlink_common.errors import BackendUnavailable, PluginError
from interlink_common.model.report import PodReport
from interlink_common.podrunner.chirp import TAKEN
from interlink_htcondor import ads
from interlink_htcondor.identities import Identities, Identity
from interlink_htcondor.matching import count_ahead, why_unmatched
from interlink_htcondor.pods import Pod
from interlink_htcondor.quoting import quoted
from interlink_htcondor.settings import HTCondorSettings

log = structlog.get_logger(__name__)

HISTORY_PROJECTION = ("ClusterId", "ProcId", "JobStatus", "RemoveReason", "ExitBySignal", "ExitCode", "ExitSignal")
SHARE_OF_THE_SCHEDD = 0.1
"""Queries take at most this part of the time."""
SOON_SECONDS = 0.3
FETCHES_AT_ONCE = 50
FETCH_TRIES = 10
POSTPONED_SECONDS = 0.5
"""How soon a fetch is thought of again that was not worth it."""
SLOW_BYTES_PER_SECOND = 256 * 1024
EVENT_PATIENCE_SECONDS = 5

Remove = Callable[[str, Sequence[str], str, int], Awaitable[None]]


class Follow:
    """`remove(namespace, jids, reason, grace_seconds)` has the schedd remove jobs. `slots`: the pool as last seen, for reasons."""

    def __init__(self, settings: HTCondorSettings, identities: Identities, *, remove: Remove) -> None:
        self.pods: dict[str, Pod] = {}
        self.slots: Sequence[Mapping[str, Any]] = ()
        self._settings = settings
        self._identities = identities
        self._remove = remove
        self._changed: dict[str, None] = {}
        self._look = asyncio.Event()
        self._fetch = asyncio.Event()
        self._news = asyncio.Event()
        self._work = Tasks()
        self._looked_at = self._looked_seconds = 0.0

    def add(self, pod: Pod) -> None:
        self.pods[pod.uid] = pod
        self._look.set()

    def forget(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        if pod is not None:
            pod.told_news()

    async def close(self) -> None:
        await self._work.close()

    async def is_gone(self, pod: Pod, deadline: float) -> bool:
        """Waits until the pod's job is no longer in the queue; false if it still is at the deadline (monotonic)."""
        pod.gone.clear()
        pod.is_gone = False
        self._look.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                await pod.gone.wait()
        return pod.gone.is_set()

    async def reports(self) -> AsyncIterator[tuple[str, PodReport]]:
        """Every pod's state, then each that changed, for ever. Raises BackendUnavailable when the pool does not answer."""
        self._work.unless_running("fetch", self._fetch_for_ever)
        if self._settings.follow.event_log is not None:
            self._work.unless_running("events", self._read_events)
        for pod in self.pods.values():
            pod.said = None
        while True:
            await self._query()
            due = time.monotonic() + self._pause_seconds()
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
                await asyncio.sleep(min(max(SOON_SECONDS, self._looked_seconds / SHARE_OF_THE_SCHEDD), self._pause_seconds()))

    def _pause_seconds(self) -> float:
        follow = self._settings.follow
        if any(pod.being_removed for pod in self.pods.values()):
            wanted = min(SOON_SECONDS, follow.poll_seconds)
        else:
            wanted = follow.poll_seconds if follow.event_log is None else follow.resync_seconds
        return max(wanted, self._looked_seconds / SHARE_OF_THE_SCHEDD)

    async def _query(self) -> None:
        self._look.clear()
        began = time.monotonic()
        pods = [pod for pod in self.pods.values() if pod.since < began]
        constraint = f"{ads.INSTANCE} =?= {quoted(self._settings.instance)}"
        rows = await self._own("query", constraint=constraint, projection=ads.PROJECTION)
        self._looked_at = time.monotonic()
        self._looked_seconds = self._looked_at - began
        jobs = {job.id: job for job in map(ads.JobAd.of, rows)}
        ahead = count_ahead(jobs.values())
        missing = []
        for pod in pods:
            ad = jobs.get(pod.jid)
            if ad is not None:
                pod.seen(ad)
                pod.ahead, pod.unmatched = ahead.get(ad.id), why_unmatched(ad, self.slots)
                self._changed[pod.uid] = None
            elif pod.being_removed or pod.final is not None:
                pod.ad, pod.is_gone = None, True
                pod.gone.set()
                self._changed[pod.uid] = None
            elif not pod.is_gone:
                missing.append(pod)
        if missing:
            await self._learn_of_missing(missing)
        await self._release([pod for pod in pods if pod.is_due_for_release(self._settings.holds)])
        if any(pod.has_news() or pod.is_misunderstood() for pod in pods):
            self._fetch.set()

    async def _own(self, name: str, **arguments: Any) -> Any:
        return await self._identities.own.orders.call(name, timeout_seconds=self._settings.pool.call_timeout_seconds, **arguments)

    async def _learn_of_missing(self, pods: Sequence[Pod]) -> None:
        """Jobs that left the queue, and not by us: their last ads tell why."""
        rows = await self._own("history", jobs=[pod.jid for pod in pods], projection=HISTORY_PROJECTION)
        found = {f"{row['ClusterId']}.{row['ProcId']}": row for row in rows}
        for pod in pods:
            pod.ad, pod.is_gone, pod.history = None, True, found.get(pod.jid)
            pod.gone.set()
            self._changed[pod.uid] = None

    async def _release(self, pods: Sequence[Pod]) -> None:
        for identity, jids in self._by_identity(pods):
            log.info("held jobs are released", jids=jids)
            seconds = self._settings.pool.call_timeout_seconds
            await identity.orders.call("act", timeout_seconds=seconds, action="Release", jobs=jids, reason="policy on holds")

    def _by_identity(self, pods: Sequence[Pod]) -> list[tuple[Identity, list[str]]]:
        found: dict[str, tuple[Identity, list[str]]] = {}
        for pod in pods:
            identity = self._identities.of(pod.workload.namespace)
            found.setdefault(identity.name, (identity, []))[1].append(pod.jid)
        return list(found.values())

    def _reports_of_changed(self) -> list[tuple[str, PodReport]]:
        changed, self._changed = self._changed, {}
        told = []
        over = []
        for uid in changed:
            pod = self.pods.get(uid)
            report = pod.report(self._settings.holds) if pod is not None else None
            if pod is None or report is None:
                continue
            if report.finished and pod.final is None:
                pod.final = report
                pod.journal.end(report)
                pod.told_news()
            if pod.final is not None and pod.ad is not None and not pod.being_removed and pod.ad.status != ads.REMOVED:
                over.append(pod)
            if report != pod.said:
                pod.said = report
                told.append((uid, report))
        if over:
            self._work.unless_running("clean", lambda: self._clean(over))
        return told

    async def _clean(self, pods: Sequence[Pod]) -> None:
        """Ended pods' jobs leave the queue; their logs are here."""
        for pod in pods:
            try:
                await self._remove(pod.workload.namespace, [pod.jid], "the pod has ended", 0)
            except PluginError as error:
                log.warning("the job of an ended pod is removed later", jid=pod.jid, error=str(error))

    async def _fetch_for_ever(self) -> None:
        while True:
            postponed = any(pod.has_news() for pod in self.pods.values())
            with suppress(TimeoutError):
                async with asyncio.timeout(POSTPONED_SECONDS if postponed else None):
                    await self._fetch.wait()
            self._fetch.clear()
            try:
                await self._fetch_all()
            except Exception:
                log.exception("a fetch failed")

    async def _fetch_all(self) -> None:
        for pod in [pod for pod in self.pods.values() if pod.is_misunderstood()]:
            assert pod.ad is not None
            await self._acknowledge(pod, pod.ad)
        now = time.monotonic()
        wanting = [pod for pod in self.pods.values() if pod.is_worth_a_fetch(now) and not pod.being_removed]
        for start in range(0, len(wanting), FETCHES_AT_ONCE):
            some = wanting[start : start + FETCHES_AT_ONCE]
            before = {pod.uid: pod.ad for pod in some}
            jobs = {pod.jid: pod.ad for pod in some if pod.ad is not None}
            for identity, jids in self._by_identity(some):
                brought = await self._retrieve(identity, [jobs[jid] for jid in jids])
                for pod in some:
                    if pod.jid in jids:
                        await self._took(pod, before[pod.uid], brought=pod.jid in brought)
            self._news.set()

    async def _retrieve(self, identity: Identity, jobs: Sequence[ads.JobAd]) -> set[str]:
        """The jobs whose spools came. One that fails, as when it leaves the queue, must not hold up the others."""
        pool, began = self._settings.pool, time.monotonic()
        jids, completed = [job.id for job in jobs], [job.id for job in jobs if job.status == ads.COMPLETED]
        # A transfer that was cut off hangs for minutes; it gets the time that a slow network needs for what there is.
        seconds = pool.call_timeout_seconds + sum(job.news.put_bytes for job in jobs) / SLOW_BYTES_PER_SECOND
        seconds = min(seconds, pool.transfer_timeout_seconds)
        try:
            await identity.files.call("retrieve", timeout_seconds=seconds, jobs=jids, completed=completed)
        except BackendUnavailable as error:
            log.debug("a fetch is tried again", jids=jids, error=str(error))
            if len(jids) == 1 or self._looked_at < began:  # else the pool answers, so one of these jobs is at fault
                return set()
            middle = len(jobs) // 2
            return await self._retrieve(identity, jobs[:middle]) | await self._retrieve(identity, jobs[middle:])
        return set(jids)

    async def _took(self, pod: Pod, ad: ads.JobAd | None, *, brought: bool) -> None:
        assert ad is not None
        is_completed = ad.status == ads.COMPLETED
        if brought and pod.uid in self.pods:
            pod.took(ad.news, time.monotonic())
            fresh = await asyncio.to_thread(pod.journal.take, ad.news, all_of_it=is_completed)
            if fresh and not is_completed:
                await self._acknowledge(pod, ad)
        if is_completed:
            # The shadow may set SpooledOutputFiles after the job's status, and then what is in the spool did not come. Where podrunner
            # was killed there is no last word, and after some tries the job's exit code has to do.
            is_whole = brought and pod.journal.has_last_word
            pod.failed_fetches += not is_whole
            pod.fetched_when_completed = is_whole or pod.failed_fetches >= FETCH_TRIES
        self._changed[pod.uid] = None
        pod.told_news()

    async def _acknowledge(self, pod: Pod, ad: ads.JobAd) -> None:
        """Tells podrunner what may be removed from the spool; not for every line, since each word to the schedd costs it a transaction.

        Nor before it has acted on the last word: the schedd tells a job of one change, and of those that come soon after it only late.
        """
        known = pod.acknowledged if pod.acknowledged.run == ad.news.run else ads.News()
        little = ad.news.put_bytes - known.put_bytes < self._settings.follow.window_bytes // 4
        if (little or ad.news.removed_bytes < known.put_bytes) and not pod.is_misunderstood():
            return
        identity = self._identities.of(pod.workload.namespace)
        try:
            await identity.orders.call(
                "edit",
                timeout_seconds=self._settings.pool.call_timeout_seconds,
                jobs=[pod.jid],
                attribute=TAKEN,
                expression=f'"{ad.news.run}:{ad.news.number}:{ad.news.complaints}"',
            )
        except PluginError as error:
            log.debug("an acknowledgement is sent later", jid=pod.jid, error=str(error))
        else:
            pod.acknowledged = ad.news

    async def _read_events(self) -> None:
        """Looks as soon as the schedd has written something, no matter what."""
        path = str(self._settings.follow.event_log)
        told = ""
        while True:
            try:
                seconds = EVENT_PATIENCE_SECONDS + self._settings.pool.call_timeout_seconds
                if await self._identities.events.call(
                    "events", timeout_seconds=seconds, path=path, patience_seconds=EVENT_PATIENCE_SECONDS
                ):
                    self._look.set()
                    self._news.set()
                told = ""
            except BackendUnavailable as error:
                if str(error) != told:  # a schedd without a first job has no event log yet
                    told = str(error)
                    log.warning("the event log can not be read", path=path, error=told)
                await asyncio.sleep(EVENT_PATIENCE_SECONDS)
