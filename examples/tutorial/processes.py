"""A whole backend in one file: each pod is a process on this machine. Use it to learn only: nothing confines the processes."""

from __future__ import annotations

import asyncio
import os
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

from interlink_common.backend import Backend, Capabilities, FoundJob, Job, LogQuery, NodeCapacity, Observation
from interlink_common.errors import NotFound, Refused
from interlink_common.logselect import select
from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings


def command(workload: Workload) -> list[str]:
    """The arguments of the process that runs the pod."""
    container = workload.containers[0]
    return [*(container.command or ()), *(container.args or ())]


@dataclass
class ProcessJob:
    """The job of one pod. `lines` is its output so far, each line with the time of its arrival in unix nanoseconds."""

    workload: Workload
    process: Process
    started_at: float
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    ended_at: float | None = None

    def report(self) -> PodReport:
        """The state of the pod now."""
        container = self.workload.containers[0]
        state: ContainerState = Running(self.started_at)
        if self.ended_at is not None:
            code = self.process.returncode or 0
            state = Terminated(code if code >= 0 else 128 - code, started_at=self.started_at, finished_at=self.ended_at)
        running = self.ended_at is None
        return PodReport((ContainerReport(container.name, state, ready=running, started=running),), finished=not running)


class ProcessBackend(Backend):
    """The capabilities stay at their defaults: the library refuses whatever a bare process cannot do before it calls `submit`."""

    name: ClassVar[str] = "processes"
    capabilities = Capabilities()

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._jobs: dict[str, ProcessJob] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def admit(self, workload: Workload) -> None:
        container = workload.containers[0]
        if not container.command:
            raise Refused(f"pod.spec.containers[{container.name}].command must be set: there is no image that names a program to start.")

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        return [{"command": command(workload)}]

    async def submit(self, workload: Workload) -> str:
        container = workload.containers[0]
        environment = {"PATH": os.defpath, **container.env}
        try:
            process = await asyncio.create_subprocess_exec(
                *command(workload), env=environment, cwd=container.working_dir or None, stdout=PIPE, stderr=STDOUT
            )
        except OSError as error:
            raise Refused(f"pod.spec.containers[{container.name}].command cannot be started: {error.strerror}.") from error
        job = self._jobs[workload.uid] = ProcessJob(workload, process, time.time())
        watcher = asyncio.create_task(self._watch(job), name=f"watch {process.pid}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        self._report_change()
        return str(process.pid)

    async def inventory(self) -> Sequence[FoundJob]:
        return [FoundJob(uid, str(job.process.pid), job.workload) for uid, job in self._jobs.items()]

    async def observe(self) -> AsyncIterator[Observation]:
        while True:
            changed = self._changed
            for uid, job in list(self._jobs.items()):
                yield Observation(uid, job.report())
            await changed.wait()

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        process_job = self._jobs.get(job.pod_uid)
        if process_job is None or query.previous:
            raise NotFound(f"container {query.container} of pod {job.workload.name} has no such attempt.")
        async for chunk in select(self._lines(process_job, query.follow), query):
            yield chunk

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        process_job = self._jobs.get(job.pod_uid)
        if process_job is None:
            return
        process = process_job.process
        with suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), grace_seconds)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._jobs.pop(job.pod_uid, None)
        self._report_change()

    async def capacity(self) -> NodeCapacity:
        return NodeCapacity(cpu_millis=(os.cpu_count() or 1) * 1000, pods=100)

    async def close(self) -> None:
        """Kills the processes, because one whose output nobody reads would hang. The jobs of a real backend go on."""
        for job in self._jobs.values():
            with suppress(ProcessLookupError):
                job.process.kill()
        await asyncio.gather(*self._watchers)

    async def _watch(self, job: ProcessJob) -> None:
        """Stores the output of the process, and the time of its end."""
        assert job.process.stdout is not None
        async for line in job.process.stdout:
            job.lines.append((time.time_ns(), line))
            self._report_change()
        await job.process.wait()
        job.ended_at = time.time()
        self._report_change()

    async def _lines(self, job: ProcessJob, follow: bool) -> AsyncIterator[tuple[int, bytes]]:
        """Yields the output so far, with `follow` until the process ends."""
        position = 0
        while True:
            changed, ended = self._changed, job.ended_at is not None
            while position < len(job.lines):
                yield job.lines[position]
                position += 1
            if ended or not follow:
                return
            await changed.wait()

    def _report_change(self) -> None:
        """Wakes everybody who waits for a change. The next change has an event of its own."""
        self._changed.set()
        self._changed = asyncio.Event()
