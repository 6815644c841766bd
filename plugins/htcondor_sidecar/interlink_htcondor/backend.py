"""The HTCondor backend: the library's six verbs on the jobs of a schedd."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, ClassVar, cast

import structlog

from interlink_common.backend import (
    Backend,
    Capabilities,
    CheckResult,
    FoundJob,
    Job,
    LogQuery,
    NodeCapacity,
    Observation,
    in_slices,
)
from interlink_common.batchsystem import policy
from interlink_common.batchsystem.batches import Batches
from interlink_common.batchsystem.capabilities import PODRUNNER
from interlink_common.batchsystem.files import directory_of, private_directory
from interlink_common.batchsystem.logs import read_log
from interlink_common.batchsystem.runner import runner_config
from interlink_common.batchsystem.story import is_waiting
from interlink_common.errors import NotFound
from interlink_common.jobbundle.bundle import ARCHIVE, RUNNER, START, build
from interlink_common.model.codec import unpacked_stub
from interlink_common.model.workload import Workload
from interlink_common.podrunner.chirp import GRACE_SECONDS
from interlink_common.podrunner.config import StreamRules
from interlink_common.settings import PluginSettings
from interlink_common.translation.names import require_safe_uid
from interlink_htcondor import ads, check
from interlink_htcondor.capacity import offered, projection
from interlink_htcondor.follow import Follow
from interlink_htcondor.identities import Identities
from interlink_htcondor.journal import SpoolJournal
from interlink_htcondor.pods import Pod
from interlink_htcondor.quoting import quoted
from interlink_htcondor.settings import HTCondorSettings
from interlink_htcondor.translate import Description, describe, kind, require_expressible, transaction

log = structlog.get_logger(__name__)

SUBMITS_AT_ONCE = 250
REMOVALS_AT_ONCE = 500
FORCE_MARGIN_SECONDS = 60.0
"""A job that is still there so long after its grace is removed without asking its worker node, which may be lost."""


class HTCondorBackend(Backend):
    """Pods as jobs: one job each, in which podrunner runs all containers."""

    name: ClassVar[str] = "htcondor"
    settings_type: ClassVar[type[PluginSettings]] = HTCondorSettings
    capabilities: Capabilities = PODRUNNER

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._settings = cast(HTCondorSettings, settings)
        follow = self._settings.follow
        stream = StreamRules(sink=follow.stream, window_bytes=follow.window_bytes, announce=follow.event_log is not None)
        self._config = runner_config(self._settings.runner, self._settings.cvmfs, stream)
        self._shared = self._settings.state_dir.absolute() / "shared"
        self._identities = Identities(self._settings)
        self._submits: dict[tuple[str, tuple[str, ...]], Batches[Description, str]] = {}
        self._removals: dict[tuple[str, int, str], Batches[str, None]] = {}
        self._submitting: set[str] = set()
        self._follow = Follow(self._settings, self._identities, remove=self._remove_jobs)

    async def start(self, jobs: Sequence[Job]) -> None:
        await self._identities.open()
        await asyncio.to_thread(self._write_shared)
        async for some in in_slices(jobs):
            for job in some:
                self._take(job.workload, job.jid)
        await self._call_own("versions")

    async def close(self) -> None:
        await self._follow.close()
        await asyncio.gather(*(batches.close() for batches in self._submits.values()))
        await asyncio.gather(*(batches.close() for batches in self._removals.values()))
        await self._identities.close()

    async def _call_own(self, name: str, **arguments: Any) -> Any:
        return await self._identities.own.orders.call(name, timeout_seconds=self._settings.pool.call_timeout_seconds, **arguments)

    def _write_shared(self) -> None:
        """What all jobs have alike, so that no pod needs a copy of its own."""
        private_directory(self._shared)
        bundle = build(Workload("shared", "", "", ()), self._config, pythons=self._settings.runner.pythons)
        for name in (START, ARCHIVE, RUNNER):
            file = bundle.files[name]
            writing = self._shared / f"{name}.new"
            writing.write_bytes(file.data)
            writing.chmod(file.mode)
            writing.replace(self._shared / name)

    def _directory(self, uid: str) -> Path:
        return directory_of(self._settings.state_dir.absolute(), uid)

    def _take(self, workload: Workload, jid: str) -> Pod:
        """Follows a pod from now on; once."""
        pod = self._follow.pods.get(workload.uid)
        if pod is None:
            journal = SpoolJournal(self._directory(workload.uid))
            pod = Pod(workload, jid, journal, since=time.monotonic(), final=journal.final())
            self._follow.add(pod)
        return pod

    def admit(self, workload: Workload) -> None:
        require_safe_uid(workload.uid)
        policy.require_allowed(workload, self._settings.runner)
        require_expressible(workload, self._settings)

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        return [dict(self._describe(workload))]

    def _describe(self, workload: Workload) -> Description:
        return describe(workload, str(self._directory(workload.uid) / "submit"), str(self._shared), self._settings)

    async def submit(self, workload: Workload) -> str:
        journal = SpoolJournal(self._directory(workload.uid))
        self._submitting.add(workload.uid)
        try:
            bundle = build(workload, self._config, pythons=self._settings.runner.pythons)
            await asyncio.to_thread(journal.write, bundle)
            description = self._describe(workload)
            jid = await self._submits_for(workload.namespace, description).do(description)
        except Exception:
            await asyncio.to_thread(journal.remove)
            raise
        finally:
            self._submitting.discard(workload.uid)
        await asyncio.to_thread(journal.clear)
        self._take(workload, jid)
        return jid

    def _submits_for(self, namespace: str, description: Description) -> Batches[Description, str]:
        """Those of one kind alone, so that a call is one transaction: refused as a whole, it can be tried again job by job."""
        identity = self._identities.of(namespace)

        async def submit(descriptions: Sequence[Description]) -> Sequence[str]:
            template, items = transaction(descriptions)
            seconds = self._settings.pool.transfer_timeout_seconds
            return cast(list[str], await identity.submitter.call("submit", timeout_seconds=seconds, template=template, items=items))

        batches: Batches[Description, str] = Batches(submit, most=SUBMITS_AT_ONCE, calls_at_once=2)
        return self._submits.setdefault((identity.name, kind(description)), batches)

    async def inventory(self) -> Sequence[FoundJob]:
        """By the UIDs in the ads of the queue, and by the files of those whose job has left it.

        A JID is on record when all files were sent; the schedd may take its time to let the job go.
        """
        projection = ["ClusterId", "ProcId", "JobStatus", "HoldReasonCode", ads.POD_UID, ads.POD]
        rows = await self._call_own("query", constraint=f"{ads.INSTANCE} =?= {quoted(self._settings.instance)}", projection=projection)
        found: dict[str, FoundJob] = {}
        for row in sorted(rows, key=lambda row: (row["ClusterId"], row["ProcId"])):
            job = ads.JobAd.of(row)
            known = self._follow.pods.get(job.pod_uid)
            workload = known.workload if known is not None else unpacked_stub(job.text(ads.POD))
            is_recorded = known is not None and known.jid == job.id
            is_other = job.pod_uid in found or (known is not None and known.jid != job.id)
            if job.pod_uid in self._submitting or workload is None or workload.uid != job.pod_uid:
                continue
            if is_other or (job.is_half_submitted and not is_recorded):
                log.warning("a job that was not submitted whole is removed", jid=job.id, pod_uid=job.pod_uid)
                await self._remove_jobs(workload.namespace, [job.id], "it was not submitted whole", 0)
                continue
            found[job.pod_uid] = FoundJob(job.pod_uid, job.id, workload)
        for uid, pod in self._follow.pods.items():
            found.setdefault(uid, FoundJob(uid, pod.jid, pod.workload))
        await asyncio.to_thread(self._remove_strays, found.keys())
        return list(found.values())

    async def adopt(self, job: Job, *, complete: bool) -> None:  # noqa: ARG002  the job has its files, whatever we know of the pod
        self._take(job.workload, job.jid)

    def _remove_strays(self, known: AbstractSet[str]) -> None:
        """Files of submits that never came to be: of a plugin that was killed, or given up before their turn."""
        for path in (self._settings.state_dir / "pods").glob("*"):
            if path.name not in known and path.name not in self._submitting and path.name not in self._follow.pods:
                SpoolJournal(path).remove()

    async def observe(self) -> AsyncIterator[Observation]:
        async for uid, report in self._follow.reports():
            yield Observation(uid, report)

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        pod = self._follow.pods.get(job.pod_uid)
        if pod is None:
            raise NotFound(f"pod {job.workload.name} has no log here")
        chunks = read_log(
            pod.journal,
            query,
            waiting=is_waiting(pod.said, query.container),
            ended=lambda run, attempt: pod.has_ended(query.container, run, attempt),
            news=lambda: pod.news,
        )
        async for chunk in chunks:
            yield chunk

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        pod = self._take(job.workload, job.jid)
        pod.being_removed = True
        deadline = time.monotonic() + min(grace_seconds, self._settings.runner.stop_seconds) + FORCE_MARGIN_SECONDS
        await self._remove_jobs(job.workload.namespace, [pod.jid], "the pod was deleted", grace_seconds)
        while not await self._follow.is_gone(pod, deadline):
            log.warning("a removed job does not leave the queue", jid=pod.jid, pod_uid=pod.uid)
            identity = self._identities.of(job.workload.namespace)
            await identity.orders.call(
                "act", timeout_seconds=self._settings.pool.call_timeout_seconds, action="RemoveX", jobs=[pod.jid], reason="it did not end"
            )
            deadline = time.monotonic() + FORCE_MARGIN_SECONDS
        self._follow.forget(pod.uid)
        await asyncio.to_thread(pod.journal.remove)

    async def _remove_jobs(self, namespace: str, jids: Sequence[str], reason: str, grace_seconds: int) -> None:
        """Has the schedd remove jobs, many in one call where they come together; those that are gone already are no error."""
        identity = self._identities.of(namespace)
        seconds = self._settings.pool.call_timeout_seconds

        async def remove(jobs: Sequence[str]) -> Sequence[None]:
            await identity.orders.call(
                "edit", timeout_seconds=seconds, jobs=list(jobs), attribute=GRACE_SECONDS, expression=str(grace_seconds)
            )
            await identity.orders.call("act", timeout_seconds=seconds, action="Remove", jobs=list(jobs), reason=reason)
            return [None] * len(jobs)

        batches = self._removals.setdefault((identity.name, grace_seconds, reason), Batches(remove, most=REMOVALS_AT_ONCE))
        await asyncio.gather(*(batches.do(jid) for jid in jids))

    async def capacity(self) -> NodeCapacity:
        if self._settings.capacity.source == "fixed":
            return offered([], self._settings)
        slots = await self._call_own("slots", constraint=self._settings.capacity.constraint, projection=projection(self._settings))
        self._follow.slots = slots
        return offered(slots, self._settings)

    async def check(self) -> list[CheckResult]:
        """Without the lock of the state directory, which a plugin that serves holds."""
        try:
            return await check.results(self._identities, self._settings)
        finally:
            await self._identities.close()
