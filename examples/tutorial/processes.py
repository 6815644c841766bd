"""A whole backend in one file: each pod is one process of this machine. To learn from, not to use: nothing confines the process."""

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


@dataclass
class ProcessJob:
    """One pod. `lines` are its output so far, each with the time it came, in unix nanoseconds."""

    workload: Workload
    process: Process
    started_at: float
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    ended_at: float | None = None

    def report(self) -> PodReport:
        container = self.workload.containers[0]
        state: ContainerState = Running(self.started_at)
        if self.ended_at is not None:
            code = self.process.returncode or 0
            state = Terminated(code if code >= 0 else 128 - code, started_at=self.started_at, finished_at=self.ended_at)
        running = self.ended_at is None
        return PodReport((ContainerReport(container.name, state, ready=running, started=running),), finished=not running)


class ProcessBackend(Backend):
    """The capabilities stay at their defaults: whatever a bare process can't do is refused before `submit` hears of it."""

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
            raise Refused(f"pod.spec.containers[{container.name}].command must be set: there is no image that could tell what to start.")

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        container = workload.containers[0]
        return [{"command": [*(container.command or ()), *(container.args or ())]}]

    async def submit(self, workload: Workload) -> str:
        container = workload.containers[0]
        (planned,) = self.plan(workload)
        environment = {"PATH": os.defpath, **container.env}
        try:
            process = await asyncio.create_subprocess_exec(
                *planned["command"], env=environment, cwd=container.working_dir or None, stdout=PIPE, stderr=STDOUT
            )
        except OSError as error:
            raise Refused(f"pod.spec.containers[{container.name}].command can not be started: {error.strerror}.") from error
        job = self._jobs[workload.uid] = ProcessJob(workload, process, time.time())
        watcher = asyncio.create_task(self._watch(job), name=f"watch {process.pid}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        self._pulse()
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
        found = self._jobs.get(job.pod_uid)
        if found is None or query.previous:
            raise NotFound(f"container {query.container} of pod {job.workload.name} has no such attempt.")
        async for chunk in select(self._lines(found, query.follow), query):
            yield chunk

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        found = self._jobs.get(job.pod_uid)
        if found is None:
            return
        with suppress(ProcessLookupError):
            found.process.terminate()
            try:
                await asyncio.wait_for(found.process.wait(), grace_seconds)
            except TimeoutError:
                found.process.kill()
                await found.process.wait()
        self._jobs.pop(job.pod_uid, None)
        self._pulse()

    async def capacity(self) -> NodeCapacity:
        return NodeCapacity(cpu_millis=(os.cpu_count() or 1) * 1000, pods=100)

    async def close(self) -> None:
        """Ends what runs: a process whose output nobody reads would hang. A real backend's jobs go on."""
        for job in self._jobs.values():
            with suppress(ProcessLookupError):
                job.process.kill()
        await asyncio.gather(*self._watchers)

    async def _watch(self, job: ProcessJob) -> None:
        """Keeps what the process writes, and notes its end."""
        assert job.process.stdout is not None
        async for line in job.process.stdout:
            job.lines.append((time.time_ns(), line))
            self._pulse()
        await job.process.wait()
        job.ended_at = time.time()
        self._pulse()

    async def _lines(self, job: ProcessJob, follow: bool) -> AsyncIterator[tuple[int, bytes]]:
        position = 0
        while True:
            changed, ended = self._changed, job.ended_at is not None
            while position < len(job.lines):
                yield job.lines[position]
                position += 1
            if ended or not follow:
                return
            await changed.wait()

    def _pulse(self) -> None:
        """Wakes everybody who waits for a change; the next change has an event of its own."""
        self._changed.set()
        self._changed = asyncio.Event()
