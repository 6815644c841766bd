"""The Slurm backend: pods as jobs of a cluster whose worker nodes share a directory with this machine."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any, ClassVar, cast

from interlink_common.backend import CheckResult, NodeCapacity, Verdict
from interlink_common.batchsystem.backend import STOP_FILE, BatchBackend, Found, MarkedJob
from interlink_common.batchsystem.files import private_directory, read_part, replace_file, stop_request
from interlink_common.batchsystem.follow import Look
from interlink_common.batchsystem.jobs import Phase
from interlink_common.batchsystem.pods import FollowedPod
from interlink_common.batchsystem.settings import MEBIBYTE
from interlink_common.errors import BackendUnavailable, Refused
from interlink_common.jobbundle.bundle import START
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.podrunner.sinks import EVENTS_FILE
from interlink_common.settings import PluginSettings
from interlink_slurm import states
from interlink_slurm.client import Slurm
from interlink_slurm.settings import SlurmSettings
from interlink_slurm.states import SlurmJob
from interlink_slurm.translate import sbatch_arguments

MARK_FILE = "mark"
"""Beside the job's directory: the mark of its pod, for which Slurm's comment is too short."""

SlurmPod = FollowedPod[SlurmJob]


class SlurmBackend(BatchBackend[SlurmPod]):
    """Pods as jobs: one job each, in which podrunner runs all containers."""

    name: ClassVar[str] = "slurm"
    settings_type: ClassVar[type[PluginSettings]] = SlurmSettings
    streams_outlive_jobs: ClassVar[bool] = True

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._settings = cast(SlurmSettings, settings)
        self._slurm = Slurm(self._settings)
        self.state = self._settings.directory.absolute()

    def _job_directory(self, uid: str) -> Path:
        return self.directory(uid) / "job"

    def admit(self, workload: Workload) -> None:
        super().admit(workload)
        self._arguments(workload)

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        return [{"sbatch": self._arguments(workload)}]

    def _arguments(self, workload: Workload) -> list[str]:
        return sbatch_arguments(workload, self._job_directory(workload.uid), self._settings)

    async def submit_job(self, workload: Workload) -> str:
        await asyncio.to_thread(self._write_files, workload)
        try:
            return states.jid_of(await self._slurm.submit(self._arguments(workload)), workload.uid)
        except Refused:
            await asyncio.to_thread(shutil.rmtree, self.directory(workload.uid))
            raise

    def _write_files(self, workload: Workload) -> None:
        job = self._job_directory(workload.uid)
        private_directory(job.parent)
        private_directory(job)
        replace_file(job.parent / MARK_FILE, self.mark(workload).encode())
        replace_file(job / START, self.one_file(workload), 0o700)

    async def look(self) -> Look[SlurmJob]:
        return Look({job.jid: job for job in await self._slurm.jobs()})

    async def find_jobs(self) -> Found:
        jobs = await self._slurm.jobs()
        return Found(await asyncio.to_thread(lambda: [marked for job in jobs if (marked := self._marked(job))]))

    def _marked(self, job: SlurmJob) -> MarkedJob | None:
        """None for a job whose pod was deleted, and of which Slurm still knows that it has ended."""
        workload = self.read_mark(read_part(self.directory(job.uid) / MARK_FILE, 0, MEBIBYTE).decode())
        return MarkedJob(job.jid, workload) if workload is not None else None

    def report(self, pod: SlurmPod) -> PodReport:
        return states.report(pod.workload, pod.jid, pod.row, pod.runs)

    async def read_stream(self, pod: SlurmPod, offset: int, size: int) -> bytes:
        return await asyncio.to_thread(read_part, self._job_directory(pod.uid) / EVENTS_FILE, offset, size)

    async def stop_job(self, pod: SlurmPod, grace_seconds: int) -> bool:
        if pod.phase is not Phase.RUNNING:
            return False
        await asyncio.to_thread(replace_file, self._job_directory(pod.uid) / STOP_FILE, stop_request(grace_seconds))
        return True

    async def kill_job(self, pod: SlurmPod) -> None:
        await self._slurm.cancel(pod.jid)

    async def discard_job(self, pod: SlurmPod) -> None:
        """Its files are those of the pod's other job."""
        await self.kill_job(pod)

    async def remove_job(self, pod: SlurmPod) -> None:
        await asyncio.to_thread(shutil.rmtree, self._job_directory(pod.uid), ignore_errors=True)

    async def capacity(self) -> NodeCapacity:
        return self.fixed_capacity({name: device.capacity for name, device in self._settings.devices.items() if device.capacity})

    async def check(self) -> list[CheckResult]:
        try:
            row = CheckResult("slurm", Verdict.OK, f"{await self._slurm.version()} answers")
        except BackendUnavailable as error:
            row = CheckResult("slurm", Verdict.FAILED, str(error), "See that this user can run sbatch and squeue here")
        return [row, *await super().check()]
