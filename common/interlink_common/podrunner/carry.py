"""Carries one pod from its start to its end, telling of it on the way, and stops it in order when the batch system ends the job."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Optional

from interlink_common.agent.agent import NodeAgent
from interlink_common.model.report import ContainerReport, PodReport, Terminated
from interlink_common.model.workload import Workload
from interlink_common.podrunner import exitcodes, processes
from interlink_common.podrunner.config import PODMAN, PROCESS, RunnerConfig
from interlink_common.podrunner.events import End, ReportChanged
from interlink_common.podrunner.logs import PodLog
from interlink_common.podrunner.node import find_program
from interlink_common.podrunner.runtime import WorkerRuntime
from interlink_common.podrunner.sinks import Sink
from interlink_common.podrunner.tool import ContainerTool

RESYNC_SECONDS = 10.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
STOPPED = "the batch system ended the job"
DELETED = "the pod was deleted"
STOP_FILE_SECONDS = 0.5
"""Between two looks for it."""
TERMINATED = 143
"""What a container is told to have ended with that ended with 0 only because it was stopped."""


class NoRuntime(Exception):  # noqa: N818  a state of the node
    """None of the configured container runtimes works; the text says why not, one by one."""


async def find_tool(config: RunnerConfig, directory: Path) -> ContainerTool:
    """The first configured runtime that works here. Raises NoRuntime."""
    objections = []
    for name in config.runtimes:
        program = config.programs.get(name) or find_program(name)
        if name != PROCESS and not program:
            objections.append(f"{name} is not installed")
            continue
        tool = _tool(name, program or "", config, directory)
        objection = await tool.objection()
        if not objection:
            return tool
        objections.append(f"{name} does not work ({objection})")
    raise NoRuntime("; ".join(objections) or "no container runtime is configured")


def _tool(name: str, program: str, config: RunnerConfig, directory: Path) -> ContainerTool:
    """Imports only what is asked for: every millisecond of it comes before the first container."""
    if name == PROCESS:
        from interlink_common.podrunner.bare import BareProcess  # noqa: PLC0415

        return BareProcess()
    if name == PODMAN:
        from interlink_common.podrunner.podman import Podman  # noqa: PLC0415

        return Podman(program, config, directory)
    from interlink_common.podrunner.apptainer import Apptainer  # noqa: PLC0415

    return Apptainer(name, program, config, directory)


async def carry(workload: Workload, config: RunnerConfig, directory: Path, sink: Sink) -> int:
    """Runs the pod to its end and returns podrunner's exit code. Raises NoRuntime before anything is started."""
    tool = await find_tool(config, directory)
    processes.adopt_orphans()
    log = PodLog(sink, config.stream)
    runtime = WorkerRuntime(workload, config, directory, tool=tool, log=log, on_event=lambda: agent.wake(workload.uid))
    agent = NodeAgent(runtime, save=_remember_nothing, timing=config.timing, resync_seconds=RESYNC_SECONDS)
    stop = Stop(agent, workload, config, sink, directory)
    stop.listen()
    teller = Teller(sink, stop)
    telling = asyncio.create_task(teller.run(), name="states")
    agent.add(workload)
    async for _, report in agent.reports():
        teller.tell(report)
        if report.finished:
            break
    runtime.end_is_known.set()
    await agent.remove(workload, 0)
    await runtime.drain()
    teller.close()
    await telling
    await agent.close()
    stop.ignore()
    report = stop.explained(teller.report)
    exit_code = exitcodes.STOPPED if stop.cause and not _ended_before(report, stop.since) else exitcodes.of_report(report)
    await sink.end(End(report, exit_code, stop.cause, time.time_ns()))
    return exit_code


class Stop:
    """When the batch system ends the job (walltime, eviction, removal: SIGTERM), the pod is stopped as by a deletion.

    So it is when the stop file appears, {"grace_seconds": 30}: the batch system need not know of graces, nor send signals. It may be
    written again with less grace.
    """

    def __init__(self, agent: NodeAgent, workload: Workload, config: RunnerConfig, sink: Sink, directory: Path) -> None:
        self._agent = agent
        self._workload = workload
        self._config = config
        self._sink = sink
        self._stop_file = directory / config.stream.stop_file if config.stream.stop_file else None
        self._tasks: list[asyncio.Task[None]] = []
        self.cause = ""
        self.since = 0.0

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.begin, number)
        if self._stop_file is not None:
            self._tasks.append(asyncio.create_task(self._look_for_file(self._stop_file), name="stop file"))

    def ignore(self) -> None:
        """There is nothing to stop any more, only an end to be told, with the exit code that goes with it."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        for task in self._tasks:
            task.cancel()

    def begin(self, number: int) -> None:
        """The first signal counts."""
        if not self.cause:
            self._because(f"{STOPPED} ({signal.Signals(number).name}: walltime, eviction or removal)")
            self._tasks.append(asyncio.create_task(self._stop(), name="stop"))

    def _because(self, cause: str) -> None:
        self.cause = self.cause or cause
        self.since = self.since or time.time()

    async def _stop(self) -> None:
        grace_seconds = await self._sink.grace_seconds()
        if grace_seconds is None:
            grace_seconds = float(self._workload.grace_seconds)
        await self._agent.remove(self._workload.uid, min(grace_seconds, self._config.stop_seconds))

    async def _look_for_file(self, path: Path) -> None:
        granted = float("inf")
        while True:
            grace_seconds = read_stop_file(path)
            if grace_seconds is not None and grace_seconds < granted:
                granted = grace_seconds
                self._because(DELETED)
                self._tasks.append(asyncio.create_task(self._agent.remove(self._workload.uid, granted), name="stop"))
            await asyncio.sleep(STOP_FILE_SECONDS)

    def explained(self, report: PodReport) -> PodReport:
        """The report with the cause in every container that ended because of it; none of them has succeeded."""
        if not self.cause:
            return report
        return replace(report, containers=tuple(map(self._explained, report.containers)))

    def _explained(self, entry: ContainerReport) -> ContainerReport:
        state = entry.state
        if not isinstance(state, Terminated) or (state.finished_at or self.since) < self.since:
            return entry
        message = f"{self.cause}: {state.message}" if state.message else self.cause
        code = state.exit_code or TERMINATED
        reason = state.reason if state.exit_code else "Error"
        return replace(entry, state=replace(state, exit_code=code, reason=reason, message=message))


def read_stop_file(path: Path) -> Optional[float]:
    """The grace it grants; None if it is not there, or not yet whole."""
    try:
        told = json.loads(path.read_bytes())
        return max(float(told["grace_seconds"]), 0.0)
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Teller:
    """Tells the sink of states, the newest only, without ever holding up the agent."""

    def __init__(self, sink: Sink, stop: Stop) -> None:
        self._sink = sink
        self._stop = stop
        self._news = asyncio.Event()
        self._closed = False
        self.report = PodReport(())

    def tell(self, report: PodReport) -> None:
        self.report = report
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def run(self) -> None:
        told = PodReport(())
        while not self._closed:
            await self._news.wait()
            self._news.clear()
            if self.report != told:
                told = self.report
                await self._sink.report(ReportChanged(self._stop.explained(told), time.time_ns()))


def _ended_before(report: PodReport, moment: float) -> bool:
    """Whether every main container had ended by itself."""
    states = [entry.state for entry in report.containers]
    return all(isinstance(state, Terminated) and state.finished_at is not None and state.finished_at < moment for state in states)


def _remember_nothing(uid: str, checkpoint: str) -> None:
    """A pod does not outlive its podrunner."""
