"""A backend without a backend: the six verbs on a site in memory, which a test can make slow, forgetful or unreachable.

The `Site` is the remote system and outlives plugins: give the same one to a second `ScriptedBackend` to play a restart of the
plugin. What its jobs do is in `scripts`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import ClassVar

from interlink_common.backend import Backend, Capabilities, FoundJob, Job, LogQuery, NodeCapacity, Observation, Support
from interlink_common.errors import BackendUnavailable, NotFound
from interlink_common.logselect import select
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_common.testing.scripts import Attempt, ScriptedJob


class Site:
    """The remote system. Its jobs go on while plugins come and go; its faults are set by tests, at any moment.

    `lost_answers`: so many of the next submits happen, and their answer is lost. `submit_errors` are raised, one per submit.
    While `submits_held` is clear, submits hang. `stops` is the history of cancels: pod UID and grace in seconds.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, ScriptedJob] = {}
        self.submits: list[str] = []
        self.stops: list[tuple[str, int]] = []
        self.lost_answers = 0
        self.submit_errors: list[Exception] = []
        self.submits_pass = asyncio.Event()
        self.submits_pass.set()
        self.reachable = True
        self._changed = asyncio.Event()

    def set_reachable(self, reachable: bool) -> None:
        """False: an outage begins, every call fails. True: it is over; the jobs went on meanwhile."""
        self.reachable = reachable
        self.pulse()

    def pulse(self) -> None:
        """Wakes everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def changed(self) -> asyncio.Event:
        """Set at the next change. Take it before looking, and nothing is missed."""
        return self._changed

    def touch(self) -> None:
        """Raises BackendUnavailable during an outage."""
        if not self.reachable:
            raise BackendUnavailable("the scripted site is down; it comes back when its test says so.")

    async def close(self) -> None:
        """Stops every job."""
        await asyncio.gather(*(job.stop(0) for job in self.jobs.values()))
        self.jobs.clear()


class ScriptedBackend(Backend):
    """The six verbs on a `Site`."""

    name: ClassVar[str] = "scripted"
    capabilities = Capabilities(
        init_containers=Support.YES,
        sidecars=Support.YES,
        several_containers=Support.YES,
        restart_policies=frozenset({"Never", "OnFailure", "Always"}),
        files_volumes=Support.YES,
        empty_dir=Support.YES,
    )

    def __init__(self, settings: PluginSettings, site: Site | None = None) -> None:
        super().__init__(settings)
        self.site = site or Site()

    async def start(self, jobs: Sequence[Job]) -> None:  # noqa: ARG002  the site knows its jobs
        self.site.touch()

    async def submit(self, workload: Workload) -> str:
        self.site.touch()
        await self.site.submits_pass.wait()
        if self.site.submit_errors:
            raise self.site.submit_errors.pop(0)
        self.site.submits.append(workload.uid)
        jid = f"scripted-{len(self.site.submits)}"
        self.site.jobs[workload.uid] = ScriptedJob(workload, jid, self.site.pulse)
        self.site.pulse()
        if self.site.lost_answers:
            self.site.lost_answers -= 1
            raise BackendUnavailable("the answer of the scripted site was lost; the job may have started.")
        return jid

    async def inventory(self) -> Sequence[FoundJob]:
        self.site.touch()
        return [FoundJob(uid, job.jid, job.workload) for uid, job in self.site.jobs.items()]

    async def observe(self) -> AsyncIterator[Observation]:
        reported: dict[str, PodReport] = {}
        while True:
            changed = self.site.changed()
            self.site.touch()
            for uid, job in list(self.site.jobs.items()):
                report = job.report()
                if reported.get(uid) != report:
                    reported[uid] = report
                    yield Observation(uid, report)
            await changed.wait()

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        self.site.touch()
        lines = self._lines(self._attempt(job, query), query)
        async for chunk in select(lines, replace(query, tail_lines=None)):
            yield chunk

    async def _lines(self, attempt: Attempt, query: LogQuery) -> AsyncIterator[tuple[int, bytes]]:
        """The lines there are, tailed, and with `follow` those that come until the attempt ends."""
        position = len(attempt.lines)
        first = 0 if query.tail_lines is None else max(position - query.tail_lines, 0)
        for line in attempt.lines[first:position]:
            yield line
        while query.follow:
            changed = self.site.changed()
            for line in attempt.lines[position:]:
                position += 1
                yield line
            if attempt.ended is not None:
                return
            await changed.wait()

    def _attempt(self, job: Job, query: LogQuery) -> Attempt:
        found = self.site.jobs.get(job.pod_uid)
        attempts = found.attempts.get(query.container, []) if found else []
        if found and query.previous:
            attempts = found.former_attempts(query.container)
        if not attempts:
            raise NotFound(f"container {query.container} of pod {job.workload.name} has no such attempt.")
        return attempts[-1]

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        self.site.touch()
        found = self.site.jobs.get(job.pod_uid)
        if found is not None:
            self.site.stops.append((job.pod_uid, grace_seconds))
            await found.stop(grace_seconds)
            self.site.jobs.pop(job.pod_uid, None)
            self.site.pulse()

    async def capacity(self) -> NodeCapacity:
        self.site.touch()
        return NodeCapacity(cpu_millis=8_000, memory_bytes=16 * 2**30, pods=100)
