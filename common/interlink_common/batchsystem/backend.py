"""The skeleton of a batch backend: what a plugin of a batch system writes, and what it gets for free.

A pod is one job, in which podrunner runs all its containers. podrunner writes an event stream, with states and logs; the plugin reads it
while the job runs, and that stream says what became of the pod. What the batch system says of the job is for the rest.

You write a frozen dataclass of a job as your batch system shows it (`jobs.JobRow`), a table from its states to reports (`reports`), and

1. `admit(workload)`, after `super().admit(workload)`: raises Refused for what your settings exclude; and `plan`, which shows. Pure.
2. `submit_job(workload)`: starts a job that carries `self.mark(workload)`, and returns its JID.
3. `look()`: all jobs of ours, in one call.
4. `find_jobs()`: all jobs that carry a mark of this instance, for a lost database and a lost answer.
5. `read_stream(pod, offset, size)`: a part of podrunner's stream.
6. `kill_job(pod)`: ends the job at once.
7. `report(pod)`: what is reported while podrunner says nothing, by your table. Pure.

`stop_job` and `remove_job` you write if your batch system needs them: without the first a pod is killed without grace, and without the
second nothing is removed of an ended job. The class attributes say how your batch system behaves; the rest has defaults that fit most.

The skeleton does: refusal of what the operator's policy excludes, following and adopting, retries of reads, whether a job is gone, the
end that is durable before it is reported, logs with all of kubectl's options, orderly removal, unrecorded jobs and directories, fixed
capacity, the check of runtimes. `backend.Backend` tells what the library does beyond that.

The skeleton does **not**: call two verbs for one job at once, except `read_stream` (never two of it), which runs any time; coalesce your
calls (`batches.Batches` does); know who a namespace's jobs belong to; put a limit on how long a call takes.

Errors: raise BackendUnavailable (or another Temporary) when the call may work later, Refused when it never will.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, cast

import structlog

from interlink_common.backend import Backend, Capabilities, CheckResult, FoundJob, Job, LogQuery, NodeCapacity, Observation, in_slices
from interlink_common.batchsystem import policy
from interlink_common.batchsystem.files import directory_of, private_directory
from interlink_common.batchsystem.follow import Follower, Look, PodType
from interlink_common.batchsystem.jobs import Phase, mark, read_mark
from interlink_common.batchsystem.journal import Journal
from interlink_common.batchsystem.logs import read_log
from interlink_common.batchsystem.pods import FollowedPod
from interlink_common.batchsystem.removal import Removal
from interlink_common.batchsystem.reports import is_waiting
from interlink_common.batchsystem.runner import PODRUNNER, check_runtimes, runner_config
from interlink_common.batchsystem.settings import BatchSettings
from interlink_common.errors import BackendUnavailable, NotFound
from interlink_common.jobbundle.bundle import build_one_file
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.podrunner.config import StreamRules
from interlink_common.settings import PluginSettings
from interlink_common.translation.names import require_safe_uid

log = structlog.get_logger(__name__)

STOP_FILE = "stop.json"
"""Beside the stream: when it is there, podrunner stops the pod in order. `files.stop_request` is what it holds."""


@dataclass(frozen=True)
class MarkedJob:
    """A job that carries a mark of this instance. `workload`: the stub that the mark holds.

    `is_whole`: it has all its files. A job that does not never starts, and its submit is made anew.
    """

    jid: str
    workload: Workload
    is_whole: bool = True


@dataclass(frozen=True)
class Found:
    """`is_complete`: all of the batch system has answered. Otherwise directories of pods whose job was not found are kept."""

    jobs: Sequence[MarkedJob]
    is_complete: bool = True


class BatchBackend(Backend, Generic[PodType]):
    """Pods as jobs: one job each."""

    settings_type: ClassVar[type[PluginSettings]] = BatchSettings
    capabilities: Capabilities = PODRUNNER

    journal_type: ClassVar[type[Journal]] = Journal
    misses_until_gone: ClassVar[int] = 2
    """A job is gone when so many looks in a row have not shown it."""
    keeps_ended_jobs: ClassVar[bool] = False
    """The batch system knows an ended job until `remove_job`, so that a deletion waits until it is gone. False: it forgets it by itself."""
    streams_outlive_jobs: ClassVar[bool] = False
    """The stream can still be read when the batch system has forgotten the job."""
    look_share: ClassVar[float] = 0.1
    """Looks take at most this part of the time: a batch system that is slow to answer is asked less often."""
    stop_margin_seconds: ClassVar[float] = 15.0
    """What a job may take to end, beyond the grace, after `stop_job`."""

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self.batch_settings = cast(BatchSettings, settings)
        self.state = self.batch_settings.state_dir.absolute()
        self.runner_config = runner_config(self.batch_settings.runner, self.batch_settings.cvmfs, self.stream_rules())
        self.follower: Follower[PodType] = Follower(self)
        self._submitting: set[str] = set()

    # What a plugin writes.

    @abstractmethod
    async def submit_job(self, workload: Workload) -> str:
        """Starts the pod's job, which carries `mark(workload)`, and returns its JID. `one_file(workload)` is all that it needs.

        Where the answer may have been lost, raise BackendUnavailable: `find_jobs` tells whether the job is there before this is called
        again.
        """

    @abstractmethod
    async def look(self) -> Look[Any]:
        """All jobs of ours as they are now, in one call. A followed job that is not among them counts as missed."""

    @abstractmethod
    async def find_jobs(self) -> Found:
        """All jobs that carry a mark of this instance; those of followed pods may be left out. Called seldom."""

    @abstractmethod
    async def read_stream(self, pod: PodType, offset: int, size: int) -> bytes:
        """At most `size` bytes of podrunner's stream from the offset on; fewer: that was all there is now. Raises Temporary."""

    @abstractmethod
    async def kill_job(self, pod: PodType) -> None:
        """Ends the job at once, waiting or running. Idempotent; called again while the job does not end."""

    @abstractmethod
    def report(self, pod: PodType) -> PodReport:
        """What is reported until podrunner reports the pod's end: by the table in `states.py`. Pure.

        `pod.row` is the job as last seen, None if it is gone. `pod.last_row` is what `explain_ended` or `explain_lost` returned.
        An ended job comes here only when its stream is read to the end.
        """

    # What a plugin may write.

    async def stop_job(self, pod: PodType, grace_seconds: int) -> bool:  # noqa: ARG002
        """Asks podrunner to stop the pod in order. True: it was asked, and the job will end. Called again with less grace to hurry."""
        return False

    async def remove_job(self, pod: PodType) -> None:
        """Removes what the ended job left. Idempotent. Of many pods at once, and again until the job is gone if `keeps_ended_jobs`."""

    def is_removable(self, row: Any) -> bool:
        """Whether the job of a pod that has ended can be removed now."""
        return bool(row.phase is Phase.ENDED)

    async def discard_job(self, pod: PodType) -> None:
        """Ends and removes a job that nobody follows: one that was not submitted whole, or a second one of a pod."""
        await self.kill_job(pod)
        await self.remove_job(pod)

    async def explain_ended(self, pods: Sequence[PodType]) -> Mapping[str, Any]:
        """By JID the rows of jobs that ended without podrunner's word, with what the batch system tells of why.

        Those that are left out are asked for again soon. Their pods are not reported as ended before.
        """
        return {pod.jid: pod.row for pod in pods}

    async def explain_lost(self, pods: Sequence[PodType]) -> Mapping[str, Any]:  # noqa: ARG002
        """By JID the last rows of jobs that the batch system does not show any more, if it tells of them elsewhere."""
        return {}

    def requeued(self, pod: PodType, row: Any) -> str:  # noqa: ARG002
        """Why, if the row tells that a job that ran waits for another run. The stream tells of it too, when the next run begins."""
        return ""

    def unreachable(self, pod: PodType) -> str:  # noqa: ARG002
        """Why the part of the batch system that has the pod's job does not answer, where there are several parts; "" if it does."""
        return ""

    def pause_seconds(self) -> float:
        """Between two looks."""
        return self.batch_settings.follow.poll_seconds

    def stream_rules(self) -> StreamRules:
        """How podrunner's events travel."""
        return StreamRules(stop_file=STOP_FILE)

    def follow(self, workload: Workload, jid: str, journal: Journal, *, is_new: bool = False) -> PodType:  # noqa: ARG002
        """What is known of a pod from the start. `is_new`: its job was submitted just now. Raises BackendUnavailable for this pod alone."""
        return cast(PodType, FollowedPod(workload, jid, journal, time.monotonic()))

    async def connect(self) -> None:
        """When all recorded pods are followed. Raises ConfigurationError for settings that can't work; it is then called again."""

    async def disconnect(self) -> None:
        """Lets go of connections; jobs go on."""

    async def require_answer(self) -> None:
        """After `connect`. Raises BackendUnavailable while the batch system does not answer."""
        await self.follower.look()

    async def looked(self) -> None:
        """After each look."""

    async def read_streams(self) -> float | None:
        """After each look: brings what streams have of new. Returns after how many seconds to go on; None: after the next look.

        Only a plugin whose streams don't come by offset writes its own, and `read_now` with it.
        """
        return await self.follower.read_round()

    async def read_now(self, pod: PodType) -> None:
        """Brings what the stream of one pod has of new, for whoever asks for its log."""
        await self.follower.read_pod(pod)

    # What a plugin uses.

    def directory(self, uid: str) -> Path:
        """The pod's own, on our disk."""
        return directory_of(self.state, uid)

    def mark(self, workload: Workload) -> str:
        """One word that tells whose job it is, and enough of its pod to adopt it."""
        return mark(workload, self.batch_settings.instance)

    def read_mark(self, text: str) -> Workload | None:
        """The stub of a pod from its job's mark; None for a job that is not ours."""
        return read_mark(text, self.batch_settings.instance)

    def one_file(self, workload: Workload) -> bytes:
        """The executable that is all of the job: podrunner, its options and the pod. It blocks, and it holds the pod's secrets."""
        return build_one_file(workload, self.runner_config, pythons=self.batch_settings.runner.pythons)

    def fixed_capacity(self, devices: Mapping[str, int] | None = None) -> NodeCapacity:
        """The operator's numbers."""
        capacity = self.batch_settings.capacity
        return NodeCapacity(capacity.cpu_millis, capacity.memory_bytes, capacity.pods, dict(devices or {}))

    # The library's verbs.

    async def start(self, jobs: Sequence[Job]) -> None:
        """Pods are followed before the batch system is asked for anything: their logs are here, and can be read while it is away."""
        await asyncio.to_thread(private_directory, self.state)
        async for some in in_slices(jobs):
            for job in some:
                try:
                    self._take_on(job.workload, job.jid)
                except BackendUnavailable as error:  # of this pod alone
                    log.error("a pod cannot be followed", pod_uid=job.pod_uid, jid=job.jid, error=str(error))
        await self.connect()
        await self.require_answer()

    async def close(self) -> None:
        await self.follower.close()
        await self.disconnect()

    def _take_on(self, workload: Workload, jid: str, *, is_new: bool = False) -> PodType:
        """Follows a pod from now on; once."""
        pod = self.follower.pods.get(workload.uid)
        if pod is None:
            pod = self.follow(workload, jid, self.journal_type(self.directory(workload.uid)), is_new=is_new)
            pod.final = pod.journal.final()
            self.follower.add(pod)
        return pod

    def admit(self, workload: Workload) -> None:
        """A plugin that offers not everything to everybody adds its own objections."""
        require_safe_uid(workload.uid)
        policy.require_allowed(workload, self.batch_settings.runner)

    async def submit(self, workload: Workload) -> str:
        self._submitting.add(workload.uid)
        try:
            jid = await self.submit_job(workload)
            self._take_on(workload, jid, is_new=True)
        finally:
            self._submitting.discard(workload.uid)
        return jid

    async def adopt(self, job: Job, *, complete: bool) -> None:  # noqa: ARG002  the job has its files, whatever we know of the pod
        self._take_on(job.workload, job.jid)

    async def inventory(self) -> Sequence[FoundJob]:
        """By the marks of jobs, and by our own directories of those that we follow, whatever became of their jobs."""
        marked = await self.find_jobs()
        found = {uid: FoundJob(uid, pod.jid, pod.workload) for uid, pod in self.follower.pods.items()}
        followed = {pod.jid for pod in self.follower.pods.values()}
        unwanted = []
        for job in marked.jobs:
            uid = job.workload.uid
            if job.jid in followed or uid in self._submitting:
                continue
            if uid in found or not job.is_whole:
                unwanted.append(job)
            else:
                found[uid] = FoundJob(uid, job.jid, job.workload)
        await asyncio.gather(*map(self._discard, unwanted))
        if marked.is_complete:
            await asyncio.to_thread(self._remove_unused_directories, found.keys())
        return list(found.values())

    async def _discard(self, job: MarkedJob) -> None:
        log.warning("a job without all of its files is removed", jid=job.jid, pod_uid=job.workload.uid)
        # Without the pod's own journal, which may be that of a job that is followed: only one may write to it.
        await self.discard_job(self.follow(job.workload, job.jid, self.journal_type(self.state / "discarded")))

    def _remove_unused_directories(self, found: Collection[str]) -> None:
        """Of submits that never came to be: of a plugin that was killed, or given up before their turn."""
        for path in (self.state / "pods").glob("*"):
            if path.name not in found and path.name not in self._submitting and path.name not in self.follower.pods:
                Journal(path).remove()

    async def observe(self) -> AsyncIterator[Observation]:
        async for uid, report in self.follower.reports():
            yield Observation(uid, report)

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        pod = self.follower.pods.get(job.pod_uid)
        if pod is None:
            raise NotFound(f"pod {job.workload.name} has no log here")
        await self.read_now(pod)
        chunks = read_log(
            pod.journal,
            query,
            waiting=is_waiting(pod.last_report, query.container),
            ended=lambda run, attempt: pod.attempt_has_ended(query.container, run, attempt),
            news=lambda: pod.news,
        )
        pod.log_followers += query.follow
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            pod.log_followers -= query.follow

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        pod = self._take_on(job.workload, job.jid)
        await Removal(pod, self, self.follower).carry_out(grace_seconds, self.batch_settings.runner.stop_seconds)
        self.follower.forget(pod.uid)
        await asyncio.to_thread(pod.journal.remove)

    async def capacity(self) -> NodeCapacity:
        return self.fixed_capacity()

    async def check(self) -> list[CheckResult]:
        return [check_runtimes(self.batch_settings.runner)]
