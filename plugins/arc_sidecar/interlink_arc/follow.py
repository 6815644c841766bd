"""Follows all pods: one request per site for the states of all its jobs, and few at a time for what podrunner has told.

The state of a job says little of a pod; what is read of its event stream says the rest. Reading costs a request for each job, so in one
round only so many are read: those that have ended and those whose log is followed first, then whoever was not looked at for longest. A
stream that stays quiet is looked at less and less often.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from interlink_arc import states
from interlink_arc.delegations import Delegations
from interlink_arc.pods import Pod
from interlink_arc.settings import ArcSettings
from interlink_arc.sites import Site, Sites
from interlink_common.background import Tasks
from interlink_common.errors import BackendUnavailable, PluginError, Temporary
from interlink_common.model.report import PodReport
from interlink_common.podrunner.sinks import EVENTS_FILE

log = structlog.get_logger(__name__)

READ_BYTES = 1024 * 1024
"""Of one stream in one request."""
SOON_SECONDS = 0.3
DELEGATIONS_SECONDS = 60.0
"""Between two looks at which delegations are to be renewed."""
UNKNOWN_STATE = "unknown"
MISSES = 2
"""A job is gone when so many looks in a row have not found it: one may miss it while A-REX moves its files."""


class Follow:
    def __init__(self, settings: ArcSettings, sites: Sites, delegations: Delegations) -> None:
        self.pods: dict[str, Pod] = {}
        self._delegations = delegations
        self._settings = settings
        self._sites = sites
        self._changed: dict[str, None] = {}
        self._look = asyncio.Event()
        self._news = asyncio.Event()
        self._work = Tasks()

    def add(self, pod: Pod) -> None:
        self.pods[pod.uid] = pod
        self._changed[pod.uid] = None
        self.look_soon()

    def forget(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        if pod is not None:
            pod.told_news()

    def look_soon(self) -> None:
        """Something is expected to happen."""
        self._look.set()
        self._news.set()

    async def look(self) -> None:
        """Once, at all jobs. Raises BackendUnavailable when no computing element answers."""
        await self._poll()

    async def read_now(self, pod: Pod) -> None:
        """What its stream has of new, for somebody who asks for the log."""
        if pod.is_due(math.inf, self._settings.follow) and not pod.site.down:
            await self._read_one(pod)
            self._changed[pod.uid] = None
            self._news.set()

    async def close(self) -> None:
        await self._work.close()

    async def reports(self) -> AsyncIterator[tuple[str, PodReport]]:
        """Every pod's state, then each that changed, for ever. Raises BackendUnavailable when no computing element answers."""
        for pod in self.pods.values():
            pod.said = None
            self._changed[pod.uid] = None
        while True:
            began = time.monotonic()
            await self._poll()
            self._work.unless_running("read", self._read)
            self._work.unless_running("delegations", self._renew_delegations)
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
                self._look.clear()
                await asyncio.sleep(min(SOON_SECONDS, self._settings.follow.poll_seconds))

    def _pause_seconds(self) -> float:
        wanted = self._settings.follow.poll_seconds
        return min(wanted, SOON_SECONDS) if any(pod.being_removed for pod in self.pods.values()) else wanted

    async def _poll(self) -> None:
        """The states of all jobs. One site that does not answer leaves its own pods as they are; if none does, all are."""
        sites = self._sites.all()
        began = time.monotonic()
        results = await asyncio.gather(*map(self._states, sites), return_exceptions=True)
        for site, result in zip(sites, results, strict=True):
            if isinstance(result, Temporary):
                site.failed(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                site.answered()
                self._saw(site, result, began)
        if sites and all(site.down for site in sites):
            raise BackendUnavailable("; ".join(dict.fromkeys(site.down for site in sites)))

    async def _states(self, site: Site) -> dict[str, str]:
        """As the computing element tells them now; jobs in states that we have no word for are there as well."""
        found = await site.element.states(states.ASKED_FOR)
        if any(pod.id not in found and pod.state != states.GONE for pod in self._of(site)):
            found = {**dict.fromkeys(await site.element.ids(), UNKNOWN_STATE), **found}
        return found

    def _of(self, site: Site) -> Iterable[Pod]:
        return [pod for pod in self.pods.values() if pod.site is site]

    def _saw(self, site: Site, found: dict[str, str], began: float) -> None:
        for pod in self._of(site):
            if pod.since >= began:
                continue
            state = found.get(pod.id, states.GONE)
            pod.misses = pod.misses + 1 if state == states.GONE else 0
            if state == states.GONE and pod.misses < MISSES and not pod.being_removed:
                self._look.set()
                continue
            if state == states.GONE and pod.state != states.GONE and not pod.being_removed and pod.final is None:
                log.warning("the computing element has a job no more", job=pod.url, pod_uid=pod.uid)
            if state != pod.state:
                pod.seen(state)
                self._changed[pod.uid] = None
            if pod.final is not None and state in states.ENDED - {states.GONE} and not pod.being_removed:
                self._work.unless_running("clean", self._clean)

    def _reports_of_changed(self) -> list[tuple[str, PodReport]]:
        changed, self._changed = self._changed, {}
        told = []
        for uid in changed:
            pod = self.pods.get(uid)
            report = pod.report() if pod is not None else None
            if pod is None or report is None:
                continue
            if report.finished and pod.final is None:
                pod.final = report
                pod.journal.end(report)
                pod.told_news()
                self._work.unless_running("clean", self._clean)
            if report != pod.said:
                pod.said = report
                told.append((uid, report))
        return told

    async def _read(self) -> None:
        """What is new of the streams, of as many pods as one round allows."""
        now = time.monotonic()
        follow = self._settings.follow
        wanted = [pod for pod in self.pods.values() if not pod.site.down and (pod.followers or not pod.being_removed)]
        due = [pod for pod in wanted if pod.is_due(now, follow)]
        due.sort(key=lambda pod: (not pod.has_ended, not pod.followers, pod.read_at))
        some = due[: follow.reads_per_round]
        whole = await asyncio.gather(*map(self._read_one, some))
        ended = [pod for pod, is_whole in zip(some, whole, strict=True) if is_whole]
        await self._learn_of_failures([pod for pod in ended if not pod.journal.told.ended])
        for pod in some:
            pod.is_read = pod in ended and (pod.journal.told.ended or pod.failure is not None)
            self._changed[pod.uid] = None
        if any(pod.has_ended and not pod.is_read for pod in some) or len(due) > len(some):
            self._look.set()
        self._news.set()

    async def _read_one(self, pod: Pod) -> bool:
        """Whether all of its stream is here, because its job had ended before."""
        async with pod.reading:
            state, fresh, is_short = pod.state, False, False
            try:
                while not is_short:
                    found = await pod.site.element.read(pod.id, EVENTS_FILE, pod.journal.size, READ_BYTES)
                    is_short = len(found.data) < READ_BYTES
                    fresh |= await asyncio.to_thread(pod.journal.append, found.data)
            except Temporary as error:
                log.debug("a stream is read later", job=pod.url, error=str(error))
                return False
            pod.was_read(time.monotonic(), news=fresh, follow=self._settings.follow)
            return state in states.ENDED

    async def _learn_of_failures(self, pods: Sequence[Pod]) -> None:
        """Jobs whose end was not the pod's own: what the computing element knows of it."""
        by_site: dict[int, tuple[Site, list[Pod]]] = {}
        for pod in pods:
            by_site.setdefault(id(pod.site), (pod.site, []))[1].append(pod)
        for site, some in by_site.values():
            try:
                documents = await site.element.info([pod.id for pod in some])
                for pod in some:
                    document = documents.get(pod.id, {})
                    pod.failure = (await site.element.diagnose(pod.id, "failed") or "").strip() or _text(document.get("Error"))
                    code = _text(document.get("ExitCode"))
                    pod.exit_code = int(code) if code.isdecimal() else None
            except Temporary as error:
                log.debug("the cause of failures is asked for later", ce=site.name, error=str(error))

    async def _renew_delegations(self) -> None:
        for site in self._sites.all():
            if not site.down:
                try:
                    await self._delegations.renew(site)
                except PluginError as error:
                    log.warning("a delegation is renewed later", ce=site.name, credential=site.credential.name, error=str(error))
        await asyncio.sleep(DELEGATIONS_SECONDS)

    async def _clean(self) -> None:
        """Ended pods' jobs leave their computing elements; their logs are here."""
        over = [
            pod
            for pod in self.pods.values()
            if pod.final is not None and pod.state in states.ENDED - {states.GONE} and not pod.being_removed and not pod.site.down
        ]
        results = await asyncio.gather(*(pod.site.act("clean", pod.id) for pod in over), return_exceptions=True)
        for pod, result in zip(over, results, strict=True):
            if isinstance(result, PluginError):
                log.warning("the job of an ended pod is cleaned later", job=pod.url, error=str(result))
            elif isinstance(result, BaseException):
                raise result


def _text(value: Any) -> str:
    """One value of GLUE2, which may be there once, many times, or not at all."""
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value or "")
