"""The ARC backend: pods as jobs of computing elements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import structlog

from interlink_arc import capacity, check, states
from interlink_arc.delegations import Delegations
from interlink_arc.settings import ArcSettings
from interlink_arc.sites import ArcPod, Site, Sites
from interlink_arc.states import ArcJob
from interlink_arc.submitting import Submits
from interlink_arc.translate import choice, describe, environments
from interlink_common.backend import CheckResult, Gauge, NodeCapacity
from interlink_common.batchsystem.backend import STOP_FILE, BatchBackend, Found
from interlink_common.batchsystem.files import stop_request
from interlink_common.batchsystem.follow import Look
from interlink_common.batchsystem.journal import Journal
from interlink_common.errors import BackendUnavailable, PluginError, Temporary
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.podrunner.sinks import EVENTS_FILE
from interlink_common.settings import PluginSettings

log = structlog.get_logger(__name__)

DELEGATIONS_SECONDS = 60.0
"""Between two looks at which delegations are to be renewed."""
END_SECONDS = 30.0
UNKNOWN_STATE = "unknown"


class ArcBackend(BatchBackend[ArcPod]):
    """Pods as jobs: one job each, in which podrunner runs all containers."""

    name: ClassVar[str] = "arc"
    settings_type: ClassVar[type[PluginSettings]] = ArcSettings
    keeps_ended_jobs: ClassVar[bool] = True
    look_share: ClassVar[float] = 1.0
    """A look is one request to each computing element, however many jobs there are."""

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._settings = cast(ArcSettings, settings)
        self._sites = Sites(self._settings)
        self._delegations = Delegations(self.state / "delegations.json")
        self._submits = Submits(self._settings, self._sites, self._delegations, self.one_file)

    async def connect(self) -> None:
        self._sites.require_configured()

    async def disconnect(self) -> None:
        await self._sites.close()

    def follow(self, workload: Workload, jid: str, journal: Journal, *, is_new: bool = False) -> ArcPod:
        """Raises BackendUnavailable for a computing element that the settings no longer name."""
        url, _, job = jid.rpartition("/")
        return ArcPod(
            workload,
            jid,
            journal,
            time.monotonic(),
            row=ArcJob(jid, states.PREPARING) if is_new else None,
            site=self._sites.at(workload.namespace, url),
            id=job,
            environments=tuple(each.name for each in environments(workload, self._settings)),
        )

    def admit(self, workload: Workload) -> None:
        super().admit(workload)
        choice(workload, self._settings)

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        where = choice(workload, self._settings)
        queue = where.queue or self._settings.ces[where.ces[0]].queue
        return [{"ces": list(where.ces), "description": describe(workload, queue, self._settings).decode()}]

    async def submit_job(self, workload: Workload) -> str:
        return await self._submits.submit(workload)

    async def find_jobs(self) -> Found:
        return await self._submits.find_jobs(self.follower.pods)

    async def look(self) -> Look[ArcJob]:
        """The states of all jobs. One site that does not answer leaves its own pods as they are; if none does, all are."""
        sites = self._sites.all()
        results = await asyncio.gather(*map(self._states, sites), return_exceptions=True)
        found: dict[Site, dict[str, str]] = {}
        nothing: dict[str, str] = {}
        for site, result in zip(sites, results, strict=True):
            if isinstance(result, Temporary):
                site.failed(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                site.answered()
                found[site] = result
        if sites and all(site.down for site in sites):
            raise BackendUnavailable("; ".join(dict.fromkeys(site.down for site in sites)))
        jobs: dict[str, ArcJob] = {}
        for pod in self.follower.pods.values():
            state = found.get(pod.site, nothing).get(pod.id)
            if state is not None:  # most have not changed, and ten thousand new rows cost more than the rest of a look
                row = pod.row
                jobs[pod.jid] = row if row is not None and row.state == state else ArcJob(pod.jid, state)
        is_partial = any(site.down for site in sites)
        return Look(jobs, {pod.jid for pod in self.follower.pods.values() if pod.site.down} if is_partial else set())

    async def _states(self, site: Site) -> dict[str, str]:
        """As the computing element tells them now; jobs in states that we have no word for are there as well."""
        found = await site.element.states(states.ASKED_FOR)
        if any(pod.site is site and pod.id not in found and not pod.is_gone for pod in self.follower.pods.values()):
            found = {**dict.fromkeys(await site.element.ids(), UNKNOWN_STATE), **found}
        return found

    async def looked(self) -> None:
        self.follower.tasks.unless_running("delegations", self._renew_delegations)

    async def _renew_delegations(self) -> None:
        for site in self._sites.all():
            if not site.down:
                try:
                    await self._delegations.renew(site)
                except PluginError as error:
                    log.warning("a delegation is renewed later", ce=site.name, credential=site.credential.name, error=str(error))
        await asyncio.sleep(DELEGATIONS_SECONDS)

    def unreachable(self, pod: ArcPod) -> str:
        return pod.site.down

    def report(self, pod: ArcPod) -> PodReport:
        return states.report(pod.workload, pod.last_row or pod.row or ArcJob(pod.jid, states.WIPED), pod.runs)

    async def read_stream(self, pod: ArcPod, offset: int, size: int) -> bytes:
        return (await pod.site.element.read(pod.id, EVENTS_FILE, offset, size)).data

    async def explain_ended(self, pods: Sequence[ArcPod]) -> Mapping[str, ArcJob]:
        """What the computing element tells of failures."""
        by_site: dict[int, tuple[Site, list[ArcPod]]] = {}
        for pod in pods:
            by_site.setdefault(id(pod.site), (pod.site, []))[1].append(pod)
        found: dict[str, ArcJob] = {}
        for site, some in by_site.values():
            try:
                documents = await site.element.info([pod.id for pod in some])
                for pod in some:
                    document = documents.get(pod.id, {})
                    failure = (await site.element.diagnose(pod.id, "failed") or "").strip() or _text(document.get("Error"))
                    code = _text(document.get("ExitCode"))
                    state = pod.row.state if pod.row is not None else states.WIPED
                    found[pod.jid] = ArcJob(pod.jid, state, failure, int(code) if code.isdecimal() else None, pod.environments)
            except Temporary as error:
                log.debug("the cause of failures is asked for later", ce=site.name, error=str(error))
        return found

    async def stop_job(self, pod: ArcPod, grace_seconds: int) -> bool:
        """By a file: ARC's own kill knows no grace, and whether it sends a signal before the end is the batch system's business."""
        if pod.row is None or pod.row.state != states.RUNNING:
            return False
        try:
            await pod.site.element.upload(pod.id, STOP_FILE, stop_request(grace_seconds))
        except BackendUnavailable:
            raise
        except Temporary:  # it has just ended
            return False
        return True

    async def kill_job(self, pod: ArcPod) -> None:
        await self._act("kill", pod)

    async def remove_job(self, pod: ArcPod) -> None:
        await self._act("clean", pod)

    async def _act(self, action: str, pod: ArcPod) -> None:
        code = await pod.site.act(action, pod.id)
        if code >= 500:
            log.warning("a computing element does not do what it is told", action=action, jid=pod.jid, status_code=code)

    async def discard_job(self, pod: ArcPod) -> None:
        """Raises BackendUnavailable if the job does not end."""
        deadline = asyncio.get_running_loop().time() + END_SECONDS
        while pod.id in (found := await pod.site.element.states(states.ASKED_FOR)):
            if asyncio.get_running_loop().time() > deadline:
                raise BackendUnavailable(f"job {pod.jid} of an earlier submit does not end")
            await self._act("clean" if found[pod.id] in states.ENDED else "kill", pod)
            await asyncio.sleep(0.2)

    async def capacity(self) -> NodeCapacity:
        if self._settings.capacity.source == "fixed":
            return self.fixed_capacity(capacity.devices(self._settings))
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


def _text(value: Any) -> str:
    """One value of GLUE2, which may be there once, many times, or not at all."""
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value or "")
