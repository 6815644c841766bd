"""Bringing a pod to a computing element: a job is submitted first and gets its file afterwards, without which it never starts.

Whatever answer is lost on the way, no pod runs twice: a job whose answer was lost never gets its file. It is ended by the next
inventory, for which a directory of each pod's says where its job may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import structlog

from interlink_arc import states
from interlink_arc.client import Unreached
from interlink_arc.delegations import Delegations
from interlink_arc.pods import Pod
from interlink_arc.settings import ArcSettings
from interlink_arc.sites import Site, Sites
from interlink_arc.translate import STOP_FILE, Choice, choice, describe, read_mark
from interlink_common.backend import FoundJob
from interlink_common.batchsystem.files import directory_of, private_directory
from interlink_common.batchsystem.journal import Journal
from interlink_common.batchsystem.runner import runner_config
from interlink_common.errors import BackendUnavailable
from interlink_common.faultpoints import fault_point
from interlink_common.jobbundle.bundle import START, build_one_file
from interlink_common.model.workload import Workload
from interlink_common.podrunner.config import StreamRules

log = structlog.get_logger(__name__)

POSTED = "arc-posted"
"""Fault point: the job is there, and has not got its file."""
TRIED = "tried"
LOOKS_AT_ONCE = 8
END_SECONDS = 30.0


class Submitting:
    """`pods`: those that are followed, by UID."""

    def __init__(self, settings: ArcSettings, sites: Sites, delegations: Delegations, pods: Mapping[str, Pod]) -> None:
        self._settings = settings
        self._sites = sites
        self._delegations = delegations
        self._pods = pods
        self._state = settings.state_dir.absolute()
        self._config = runner_config(settings.runner, settings.cvmfs, StreamRules(stop_file=STOP_FILE))
        self._under_way: set[str] = set()

    async def submit(self, workload: Workload) -> str:
        """The JID, when the job has its file."""
        directory = directory_of(self._state, workload.uid)
        self._under_way.add(workload.uid)
        try:
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
            await self._upload(site, job, workload)
        finally:
            self._under_way.discard(workload.uid)
        return f"{site.url}/{job}"

    async def _post(self, site: Site, workload: Workload, where: Choice, directory: Path) -> str:
        delegation = await self._delegations.of(site)
        queue = where.queue or self._settings.ces[site.name].queue
        description = describe(workload, queue, self._settings, delegation=delegation)
        await asyncio.to_thread(_write_tried, directory, site.url)
        told = await site.submits.do(description)
        if isinstance(told, str):
            return told
        await asyncio.to_thread(Journal(directory).remove)
        raise told

    async def _upload(self, site: Site, job: str, workload: Workload) -> None:
        file = await asyncio.to_thread(build_one_file, workload, self._config, pythons=self._settings.runner.pythons)
        await site.element.upload(job, START, file)

    async def inventory(self) -> Sequence[FoundJob]:
        """By the descriptions of jobs that are not known, and by our own files of those that are, whatever became of them.

        Raises BackendUnavailable while a computing element does not answer to which a submit may have come.
        """
        tried = await asyncio.to_thread(self._tried)
        found = {uid: FoundJob(uid, pod.url, pod.workload) for uid, pod in self._pods.items()}
        silent = []
        for site in self._sites.all():
            try:
                for job in await self._unknown_jobs(site):
                    found.setdefault(job.pod_uid, job)
            except BackendUnavailable as error:
                silent.append(error)
                if site.url in tried:
                    raise
        if silent and len(silent) == len(self._sites.all()):
            raise silent[0]
        await asyncio.to_thread(self._remove_strays, found.keys(), keep=bool(silent))
        return list(found.values())

    def _tried(self) -> set[str]:
        """Computing elements to which pods were sent whose job is not known."""
        directories = [path for path in (self._state / "pods").glob("*") if path.name not in self._pods]
        return {url for url in map(_read_tried, directories) if url}

    async def _unknown_jobs(self, site: Site) -> list[FoundJob]:
        """Jobs of ours that nobody here knows, of submits whose answer was lost, or whose record is.

        One that waits for a file that it will never get, or whose pod has another job, is ended, and not among them.
        """
        known = {pod.id for pod in self._pods.values() if pod.site is site}
        live, ids = await site.element.states(states.ASKED_FOR), await site.element.ids()
        site.strangers &= set(ids)
        looks = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def look(job: str) -> FoundJob | None:
            async with looks:
                description = await site.element.diagnose(job, "description")
            workload = read_mark(description or "", self._settings.instance)
            if workload is None:
                if description is not None:
                    site.strangers.add(job)
                return None
            if workload.uid in self._under_way or self._is_known(workload.uid, site, job):
                return None
            found = FoundJob(workload.uid, f"{site.url}/{job}", workload)
            if live.get(job) in states.WAITS_FOR_FILES or workload.uid in self._pods:
                log.warning("a job that was not submitted whole is ended", job=found.jid, pod_uid=found.pod_uid, state=live.get(job))
                await self._end(site, job)
                return None
            return found

        jobs = [job for job in ids if job not in known and job not in site.strangers]
        return [found for found in await asyncio.gather(*map(look, jobs)) if found is not None]

    def _is_known(self, uid: str, site: Site, job: str) -> bool:
        pod = self._pods.get(uid)
        return pod is not None and (pod.site, pod.id) == (site, job)

    async def _end(self, site: Site, job: str) -> None:
        """Kills and cleans a job that nobody follows. Raises BackendUnavailable if it does not end."""
        deadline = asyncio.get_running_loop().time() + END_SECONDS
        while job in (found := await site.element.states(states.ASKED_FOR)):
            if asyncio.get_running_loop().time() > deadline:
                raise BackendUnavailable(f"job {site.url}/{job} of an earlier submit does not end")
            await site.act("clean" if found[job] in states.ENDED else "kill", job)
            await asyncio.sleep(0.2)

    def _remove_strays(self, known: Collection[str], *, keep: bool) -> None:
        """Directories of submits that never came to be. `keep`: not all computing elements answered, so this is not known."""
        for path in (self._state / "pods").glob("*"):
            is_stray = path.name not in known and path.name not in self._under_way and path.name not in self._pods
            if is_stray and not (keep and _read_tried(path)):
                Journal(path).remove()


def _write_tried(directory: Path, url: str) -> None:
    private_directory(directory)
    writing = directory / f"{TRIED}.new"
    writing.write_text(url)
    writing.replace(directory / TRIED)


def _read_tried(directory: Path) -> str:
    try:
        return (directory / TRIED).read_text()
    except OSError:
        return ""
