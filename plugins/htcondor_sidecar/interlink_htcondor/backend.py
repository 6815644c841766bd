"""The HTCondor backend: pods as jobs of a schedd.

Its stream comes in chunks by the spool, not by offset: see `fetching`. Jobs are removed with grace by HTCondor itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import structlog

from interlink_common.backend import CheckResult, NodeCapacity
from interlink_common.batchsystem.backend import BatchBackend, Found, MarkedJob
from interlink_common.batchsystem.batches import Batches
from interlink_common.batchsystem.files import private_directory, replace_file
from interlink_common.batchsystem.follow import Look
from interlink_common.batchsystem.journal import Journal
from interlink_common.errors import BackendUnavailable
from interlink_common.jobbundle.bundle import ARCHIVE, RUNNER, START, build
from interlink_common.model.codec import unpacked_stub
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.podrunner.chirp import GRACE_SECONDS
from interlink_common.podrunner.config import StreamRules
from interlink_common.settings import PluginSettings
from interlink_htcondor import ads, check, states
from interlink_htcondor.ads import JobAd
from interlink_htcondor.capacity import offered, projection
from interlink_htcondor.fetching import Fetching, by_identity
from interlink_htcondor.identities import Identities
from interlink_htcondor.journal import SpoolJournal
from interlink_htcondor.pods import CondorPod
from interlink_htcondor.quoting import quoted
from interlink_htcondor.settings import HTCondorSettings
from interlink_htcondor.translate import Description, describe, kind, require_expressible, transaction

log = structlog.get_logger(__name__)

SUBMITS_AT_ONCE = 250
REMOVALS_AT_ONCE = 500
EVENT_PATIENCE_SECONDS = 5
HISTORY_PROJECTION = ("ClusterId", "ProcId", "JobStatus", "RemoveReason", "ExitBySignal", "ExitCode", "ExitSignal")


class HTCondorBackend(BatchBackend[CondorPod]):
    """Pods as jobs: one job each, in which podrunner runs all containers."""

    name: ClassVar[str] = "htcondor"
    settings_type: ClassVar[type[PluginSettings]] = HTCondorSettings
    journal_type: ClassVar[type[Journal]] = SpoolJournal
    keeps_ended_jobs: ClassVar[bool] = True
    misses_until_gone: ClassVar[int] = 1
    """A query is one look at all of the queue."""
    stop_margin_seconds: ClassVar[float] = 60.0
    """A job that is still there so long after its grace is removed without asking its worker node, which may be lost."""

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._settings = cast(HTCondorSettings, settings)
        self._shared = self.state / "shared"
        self._identities = Identities(self._settings)
        self._fetching = Fetching(self._settings, self._identities, self.follower)
        self._slots: Sequence[Mapping[str, Any]] = ()
        """The pool as last seen, for reasons why a job waits."""
        self._submits: dict[tuple[str, tuple[str, ...]], Batches[Description, str]] = {}
        self._removals: dict[tuple[str, int, str], Batches[str, None]] = {}

    def stream_rules(self) -> StreamRules:
        follow = cast(HTCondorSettings, self.batch_settings).follow
        return StreamRules(sink=follow.stream, window_bytes=follow.window_bytes, announce=follow.event_log is not None)

    def pause_seconds(self) -> float:
        """The event log tells of most that happens; a look from time to time is for the rest."""
        follow = self._settings.follow
        return follow.poll_seconds if follow.event_log is None else follow.resync_seconds

    async def connect(self) -> None:
        await self._identities.open()
        await asyncio.to_thread(self._write_shared)

    async def require_answer(self) -> None:
        await self._call_own("versions")

    async def disconnect(self) -> None:
        await asyncio.gather(*(batches.close() for batches in self._submits.values()))
        await asyncio.gather(*(batches.close() for batches in self._removals.values()))
        await self._identities.close()

    async def _call_own(self, name: str, **arguments: Any) -> Any:
        return await self._identities.own.orders.call(name, timeout_seconds=self._settings.pool.call_timeout_seconds, **arguments)

    def _write_shared(self) -> None:
        """What all jobs have alike, so that no pod needs a copy of its own."""
        private_directory(self._shared)
        bundle = build(Workload("shared", "", "", ()), self.runner_config, pythons=self._settings.runner.pythons)
        for name in (START, ARCHIVE, RUNNER):
            replace_file(self._shared / name, bundle.files[name].data, bundle.files[name].mode)

    def follow(self, workload: Workload, jid: str, journal: Journal, *, is_new: bool = False) -> CondorPod:  # noqa: ARG002
        return CondorPod(workload, jid, cast(SpoolJournal, journal), time.monotonic())

    def admit(self, workload: Workload) -> None:
        super().admit(workload)
        require_expressible(workload, self._settings)

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        return [dict(self._describe(workload))]

    def _describe(self, workload: Workload) -> Description:
        return describe(workload, str(self.directory(workload.uid) / "submit"), str(self._shared), self._settings)

    async def submit_job(self, workload: Workload) -> str:
        journal = SpoolJournal(self.directory(workload.uid))
        try:
            bundle = build(workload, self.runner_config, pythons=self._settings.runner.pythons)
            await asyncio.to_thread(journal.write, bundle)
            description = self._describe(workload)
            jid = await self._submits_for(workload.namespace, description).do(description)
        except Exception:
            await asyncio.to_thread(journal.remove)
            raise
        await asyncio.to_thread(journal.clear)
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

    async def find_jobs(self) -> Found:
        """A JID is on record when all files were sent; until then the schedd holds the job."""
        rows = await self._query(("ClusterId", "ProcId", "JobStatus", "HoldReasonCode", ads.POD_UID, ads.POD))
        jobs = []
        for job in map(JobAd.of, sorted(rows, key=lambda row: (row["ClusterId"], row["ProcId"]))):
            workload = unpacked_stub(job.text(ads.POD))
            if workload is not None and workload.uid == job.pod_uid:
                jobs.append(MarkedJob(job.jid, workload, is_whole=not job.is_half_submitted))
        return Found(jobs)

    async def _query(self, attributes: Sequence[str]) -> Any:
        """Of all jobs of this plugin."""
        constraint = f"{ads.INSTANCE} =?= {quoted(self._settings.instance)}"
        return await self._call_own("query", constraint=constraint, projection=attributes)

    async def look(self) -> Look[JobAd]:
        jobs = [JobAd.of(row) for row in await self._query(ads.PROJECTION)]
        self._fetching.looked_at = time.monotonic()
        ahead, holds = states.count_ahead(jobs), self._settings.holds
        return Look({
            job.jid: replace(
                job, ahead=ahead.get(job.jid), unmatched=states.why_unmatched(job, self._slots), fails_held=states.fails_held(job, holds)
            )
            for job in jobs
        })  # fmt: skip

    async def looked(self) -> None:
        """Held jobs are released, as the policy is; and the event log is read, where there is one."""
        if self._settings.follow.event_log is not None:
            self.follower.tasks.unless_running("events", self._read_events)
        holds = self._settings.holds
        due = [pod for pod in self.follower.pods.values() if pod.row is not None and states.is_due_for_release(pod.row, holds)]
        for identity, jids in by_identity(due, self._identities):
            log.info("held jobs are released", jids=jids)
            seconds = self._settings.pool.call_timeout_seconds
            await identity.orders.call("act", timeout_seconds=seconds, action="Release", jobs=jids, reason="policy on holds")

    async def _read_events(self) -> None:
        """Looks as soon as the schedd has written something, no matter what."""
        path = str(self._settings.follow.event_log)
        logged = ""
        while True:
            try:
                seconds = EVENT_PATIENCE_SECONDS + self._settings.pool.call_timeout_seconds
                if await self._identities.events.call(
                    "events", timeout_seconds=seconds, path=path, patience_seconds=EVENT_PATIENCE_SECONDS
                ):
                    self.follower.look_soon()
                logged = ""
            except BackendUnavailable as error:
                if str(error) != logged:  # a schedd without a first job has no event log yet
                    logged = str(error)
                    log.warning("the event log cannot be read", path=path, error=logged)
                await asyncio.sleep(EVENT_PATIENCE_SECONDS)

    def requeued(self, pod: CondorPod, row: JobAd) -> str:
        return states.evicted(row) if row.status == ads.IDLE and pod.row is not None else ""

    async def explain_lost(self, pods: Sequence[CondorPod]) -> Mapping[str, JobAd]:
        """Jobs that left the queue, and not by us: their last ads tell why."""
        rows = await self._call_own("history", jobs=[pod.jid for pod in pods], projection=HISTORY_PROJECTION)
        return {job.jid: job for job in (JobAd.of({"JobStatus": ads.REMOVED, **row}) for row in rows)}

    def report(self, pod: CondorPod) -> PodReport:
        if pod.row is None:
            return states.gone(pod.workload, pod.jid, pod.last_row, pod.runs)
        return states.report(pod.workload, pod.row, pod.runs)

    async def read_streams(self) -> float | None:
        return await self._fetching.fetch_all()

    async def read_now(self, pod: CondorPod) -> None:
        """What a pod has written is fetched as soon as its ad tells of it, whether somebody asks for it or not."""

    async def read_stream(self, pod: CondorPod, offset: int, size: int) -> bytes:
        raise NotImplementedError("a fetch transfers whole spool directories")

    async def stop_job(self, pod: CondorPod, grace_seconds: int) -> bool:
        await self._remove_jobs(pod.workload.namespace, [pod.jid], "the pod was deleted", grace_seconds)
        return True

    async def kill_job(self, pod: CondorPod) -> None:
        """Without asking its worker node; only for a job that was removed in order before."""
        identity, seconds = self._identities.of(pod.workload.namespace), self._settings.pool.call_timeout_seconds
        await identity.orders.call("act", timeout_seconds=seconds, action="RemoveX", jobs=[pod.jid], reason="it did not end")

    async def remove_job(self, pod: CondorPod) -> None:
        if pod.row is not None and pod.row.status == ads.REMOVED:
            await self.kill_job(pod)
        else:
            await self._remove_jobs(pod.workload.namespace, [pod.jid], "the pod has ended", 0)

    def is_removable(self, row: JobAd) -> bool:
        """Whatever it is doing: podrunner has reported the pod's end, or a policy has given the job up."""
        return row.status != ads.REMOVED

    async def discard_job(self, pod: CondorPod) -> None:
        await self._remove_jobs(pod.workload.namespace, [pod.jid], "not all of its files were submitted", 0)

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
            return self.fixed_capacity(self._settings.capacity.devices)
        self._slots = await self._call_own("slots", constraint=self._settings.capacity.constraint, projection=projection(self._settings))
        return offered(self._slots, self._settings)

    async def check(self) -> list[CheckResult]:
        """Without the lock of the state directory, which a plugin that serves holds."""
        try:
            return await check.results(self._identities, self._settings)
        finally:
            await self._identities.close()
