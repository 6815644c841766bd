"""Bringing a pod to a computing element: a job is submitted first and gets its file afterwards, without which it never starts.

Whatever answer is lost on the way, no pod runs twice: a job whose answer was lost never gets its file. It is ended by the next
inventory, for which a directory of each pod's says where its job may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Mapping
from pathlib import Path

from interlink_arc import states
from interlink_arc.client import Unreached
from interlink_arc.delegations import Delegations
from interlink_arc.settings import ArcSettings
from interlink_arc.sites import ArcPod, Site, Sites
from interlink_arc.translate import Choice, choice, describe, marked
from interlink_common.batchsystem.backend import Found, MarkedJob
from interlink_common.batchsystem.files import directory_of, private_directory, replace_file
from interlink_common.batchsystem.journal import Journal
from interlink_common.errors import BackendUnavailable
from interlink_common.faultpoints import fault_point
from interlink_common.jobbundle.bundle import START
from interlink_common.model.workload import Workload

POSTED = "arc-posted"
"""Fault point: the job is there, and has not got its file."""
TRIED = "tried"
LOOKS_AT_ONCE = 8


class Submits:
    """`one_file` builds the file of a pod's job."""

    def __init__(self, settings: ArcSettings, sites: Sites, delegations: Delegations, one_file: Callable[[Workload], bytes]) -> None:
        self._settings = settings
        self._sites = sites
        self._delegations = delegations
        self._one_file = one_file
        self._state = settings.state_dir.absolute()

    async def submit(self, workload: Workload) -> str:
        """The JID, when the job has its file."""
        directory = directory_of(self._state, workload.uid)
        where = choice(workload, self._settings)
        while True:
            site = self._sites.choose(workload.namespace, where)
            try:
                job = await self._post(site, workload, where, directory)
                break
            except Unreached as error:
                site.failed(error)
                await asyncio.to_thread(Journal(directory).remove)
        fault_point(POSTED)
        file = await asyncio.to_thread(self._one_file, workload)
        await site.element.upload(job, START, file)
        return f"{site.url}/{job}"

    async def _post(self, site: Site, workload: Workload, where: Choice, directory: Path) -> str:
        delegation = await self._delegations.of(site)
        queue = where.queue or self._settings.ces[site.name].queue
        description = describe(workload, queue, self._settings, delegation=delegation)
        await asyncio.to_thread(_write_tried, directory, site.url)
        answer = await site.submits.do(description)
        if isinstance(answer, str):
            return answer
        await asyncio.to_thread(Journal(directory).remove)
        raise answer

    async def find_jobs(self, pods: Mapping[str, ArcPod]) -> Found:
        """Jobs of ours that nobody follows, by their descriptions. `pods`: those that are followed, by UID.

        Raises BackendUnavailable while a computing element does not answer to which a submit may have come.
        """
        tried = await asyncio.to_thread(self._tried, pods)
        jobs, silent = list[MarkedJob](), list[BackendUnavailable]()
        for site in self._sites.all():
            try:
                jobs += await self._find(site, {pod.id for pod in pods.values() if pod.site is site})
            except BackendUnavailable as error:
                silent.append(error)
                if site.url in tried:
                    raise
        if silent and len(silent) == len(self._sites.all()):
            raise silent[0]
        return Found(jobs, is_complete=not silent)

    def _tried(self, pods: Container[str]) -> set[str]:
        """Computing elements to which pods were sent whose job is not known."""
        directories = [path for path in (self._state / "pods").glob("*") if path.name not in pods]
        return {url for url in map(_read_tried, directories) if url}

    async def _find(self, site: Site, known: Container[str]) -> list[MarkedJob]:
        live, ids = await site.element.states(states.ASKED_FOR), await site.element.ids()
        site.foreign &= set(ids)
        looks = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def look(job: str) -> MarkedJob | None:
            async with looks:
                description = await site.element.diagnose(job, "description")
            workload = marked(description or "", self._settings.instance)
            if workload is not None:
                return MarkedJob(f"{site.url}/{job}", workload, is_whole=live.get(job) not in states.WAITS_FOR_FILES)
            if description is not None:
                site.foreign.add(job)
            return None

        jobs = [job for job in ids if job not in known and job not in site.foreign]
        return [found for found in await asyncio.gather(*map(look, jobs)) if found is not None]


def _write_tried(directory: Path, url: str) -> None:
    private_directory(directory)
    replace_file(directory / TRIED, url.encode())


def _read_tried(directory: Path) -> str:
    try:
        return (directory / TRIED).read_text()
    except OSError:
        return ""
