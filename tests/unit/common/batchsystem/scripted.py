"""A batch system in memory and the plugin for it: as little as a plugin needs."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from interlink_common.batchsystem.backend import BatchBackend, Found, MarkedJob
from interlink_common.batchsystem.follow import Look
from interlink_common.batchsystem.jobs import Phase
from interlink_common.batchsystem.pods import FollowedPod
from interlink_common.batchsystem.reports import failed, runs_on, unknown, waits
from interlink_common.batchsystem.settings import BatchSettings, StreamSettings
from interlink_common.errors import BackendUnavailable
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated
from interlink_common.model.workload import Container, Workload
from interlink_common.podrunner.events import End, LogLine, ReportChanged, encode

ALIVE = PodReport((ContainerReport("main", Running(1.0)),))
DONE = PodReport((ContainerReport("main", Terminated(3, started_at=1.0)),), finished=True)
HELLO = encode(LogLine("main", 0, "stdout", 1_000_000_000, b"hello"))
STARTED = encode(ReportChanged(ALIVE, 1)) + HELLO
ENDED = encode(End(DONE, 3, "", 2))

TABLE = {"queued": waits("Queued", "waits"), "running": runs_on("starts")}
PHASES = {"queued": Phase.WAITING, "running": Phase.RUNNING, "over": Phase.ENDED}


def a_pod(uid: str = "uid", **fields: Any) -> Workload:
    return Workload(uid, "p", "default", (Container("main", "busybox"),), restart_policy="Never", **fields)


@dataclass(frozen=True)
class Row:
    jid: str
    state: str
    why: str = ""

    @property
    def phase(self) -> Phase:
        return PHASES.get(self.state, Phase.WAITING)


Pod = FollowedPod[Row]


class ScriptedBackend(BatchBackend[Pod]):
    """`jobs` is what a look shows, `marks` what the jobs carry, `streams` what podrunner has written; `calls` counts."""

    name: ClassVar[str] = "scripted"

    def __init__(self, directory: Path, **settings: Any) -> None:
        follow = StreamSettings(poll_seconds=0.01, quiet_poll_seconds=0.02, reads_per_round=settings.pop("reads_per_round", 100))
        super().__init__(BatchSettings(state_dir=directory, instance="here", follow=follow, **settings))
        self.jobs: dict[str, str] = {}
        self.marks: dict[str, str] = {}
        self.streams: dict[str, bytes] = {}
        self.whole: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.is_away = False
        self.obeys = True

    def _count(self, call: str) -> None:
        self.calls[call] += 1
        if self.is_away:
            raise BackendUnavailable("away")

    async def submit_job(self, workload: Workload) -> str:
        self._count("submit")
        jid = f"j{len(self.marks)}"
        self.jobs[jid], self.marks[jid] = "queued", self.mark(workload)
        self.whole.add(jid)
        return jid

    async def look(self) -> Look[Row]:
        self._count("look")
        return Look({jid: Row(jid, state) for jid, state in self.jobs.items()})

    async def find_jobs(self) -> Found:
        self._count("find")
        stubs = {jid: self.read_mark(mark) for jid, mark in self.marks.items() if jid in self.jobs}
        return Found([MarkedJob(jid, stub, is_whole=jid in self.whole) for jid, stub in stubs.items() if stub is not None])

    async def read_stream(self, pod: Pod, offset: int, size: int) -> bytes:
        self._count("read")
        await asyncio.sleep(0)
        return self.streams.get(pod.jid, b"")[offset : offset + size]

    async def stop_job(self, pod: Pod, grace_seconds: int) -> bool:
        self._count("stop")
        if self.obeys and self.jobs.get(pod.jid) == "running":
            self.jobs[pod.jid] = "over"
            return True
        return False

    async def kill_job(self, pod: Pod) -> None:
        self._count("kill")
        if pod.jid in self.jobs:
            self.jobs[pod.jid] = "over"

    async def remove_job(self, pod: Pod) -> None:
        self._count("remove")
        self.jobs.pop(pod.jid, None)

    def requeued(self, pod: Pod, row: Row) -> str:
        return "its node failed" if row.phase is Phase.WAITING and pod.phase is Phase.RUNNING else ""

    def report(self, pod: Pod) -> PodReport:
        if pod.row is None or pod.row.phase is Phase.ENDED:
            why = "it is gone" if pod.row is None else "it ended"
            return failed(pod.workload, pod.runs, "JobFailed", why if pod.last_row is None else f"{why}: {pod.last_row.why}")
        say = TABLE.get(pod.row.state)
        return unknown(pod.workload, pod.row, pod.runs, pod.row.state) if say is None else say(pod.workload, pod.row, pod.runs)
