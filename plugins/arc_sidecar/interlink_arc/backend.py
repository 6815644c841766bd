"""The ARC backend: the library's six verbs on the jobs of computing elements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, cast

import structlog

from interlink_arc import capacity, check, states
from interlink_arc.delegations import Delegations
from interlink_arc.follow import Follow
from interlink_arc.pods import Pod
from interlink_arc.removing import Removal
from interlink_arc.settings import ArcSettings
from interlink_arc.sites import Sites
from interlink_arc.submitting import Submitting
from interlink_arc.translate import choice, describe, environments
from interlink_common.backend import (
    Backend,
    Capabilities,
    CheckResult,
    FoundJob,
    Gauge,
    Job,
    LogQuery,
    NodeCapacity,
    Observation,
    in_slices,
)
from interlink_common.batchsystem import policy
from interlink_common.batchsystem.capabilities import PODRUNNER
from interlink_common.batchsystem.files import directory_of, private_directory
from interlink_common.batchsystem.journal import Journal
from interlink_common.batchsystem.logs import read_log
from interlink_common.batchsystem.story import is_waiting
from interlink_common.errors import BackendUnavailable, NotFound
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_common.translation.names import require_safe_uid

log = structlog.get_logger(__name__)


class ArcBackend(Backend):
    """Pods as jobs: one job each, in which podrunner runs all containers."""

    name: ClassVar[str] = "arc"
    settings_type: ClassVar[type[PluginSettings]] = ArcSettings
    capabilities: Capabilities = PODRUNNER

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._settings = cast(ArcSettings, settings)
        self._state = self._settings.state_dir.absolute()
        self._sites = Sites(self._settings)
        self._delegations = Delegations(self._state / "delegations.json")
        self._follow = Follow(self._settings, self._sites, self._delegations)
        self._submitting = Submitting(self._settings, self._sites, self._delegations, self._follow.pods)

    async def start(self, jobs: Sequence[Job]) -> None:
        self._sites.require_configured()
        await asyncio.to_thread(private_directory, self._state)
        async for some in in_slices(jobs):
            for job in some:
                try:
                    self._take(job.workload, job.jid)
                except BackendUnavailable as error:  # of this pod alone
                    log.error("a pod is not looked after", pod_uid=job.pod_uid, jid=job.jid, error=str(error))
        await self._follow.look()

    async def close(self) -> None:
        await self._follow.close()
        await self._sites.close()

    def _take(self, workload: Workload, jid: str, state: str = states.UNSEEN) -> Pod:
        """Follows a pod from now on; once. Raises BackendUnavailable for a computing element that the settings no longer name."""
        pod = self._follow.pods.get(workload.uid)
        if pod is None:
            url, _, job = jid.rpartition("/")
            journal = Journal(directory_of(self._state, workload.uid))
            names = tuple(each.name for each in environments(workload, self._settings))
            pod = Pod(workload, self._sites.at(workload.namespace, url), job, journal, time.monotonic(), names, state, journal.final())
            self._follow.add(pod)
        return pod

    def admit(self, workload: Workload) -> None:
        require_safe_uid(workload.uid)
        policy.require_allowed(workload, self._settings.runner)
        choice(workload, self._settings)

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        where = choice(workload, self._settings)
        queue = where.queue or self._settings.ces[where.ces[0]].queue
        return [{"ces": list(where.ces), "description": describe(workload, queue, self._settings).decode()}]

    async def submit(self, workload: Workload) -> str:
        jid = await self._submitting.submit(workload)
        self._take(workload, jid, "PREPARING")
        return jid

    async def inventory(self) -> Sequence[FoundJob]:
        return await self._submitting.inventory()

    async def adopt(self, job: Job, *, complete: bool) -> None:  # noqa: ARG002  the job has its files, whatever we know of the pod
        self._take(job.workload, job.jid)

    async def observe(self) -> AsyncIterator[Observation]:
        async for uid, report in self._follow.reports():
            yield Observation(uid, report)

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        pod = self._follow.pods.get(job.pod_uid)
        if pod is None:
            raise NotFound(f"pod {job.workload.name} has no log here")
        await self._follow.read_now(pod)
        chunks = read_log(
            pod.journal,
            query,
            waiting=is_waiting(pod.said, query.container),
            ended=lambda run, attempt: pod.attempt_has_ended(query.container, run, attempt),
            news=lambda: pod.news,
        )
        pod.followers += query.follow
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            pod.followers -= query.follow

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        pod = self._take(job.workload, job.jid)
        await Removal(pod, self._follow.look_soon, self._follow.read_now).carry_out(grace_seconds)
        self._follow.forget(pod.uid)
        await asyncio.to_thread(pod.journal.remove)

    async def capacity(self) -> NodeCapacity:
        if self._settings.capacity.source == "fixed":
            return capacity.offered([], self._settings)
        services = []
        for name in self._settings.ces:
            site = next(site for site in self._sites.all() if site.name == name)
            try:
                services.append(await site.element.service())
            except BackendUnavailable as error:
                log.warning("the capacity of a computing element is not known", ce=name, error=str(error))
        if not services:
            raise BackendUnavailable("no computing element tells its capacity")
        return capacity.offered(services, self._settings)

    def gauges(self) -> Sequence[Gauge]:
        """When each credential ends, and which computing elements answer."""
        return check.gauges(self._sites)

    async def check(self) -> list[CheckResult]:
        try:
            return await check.results(self._sites, self._settings)
        finally:
            await self._sites.close()
