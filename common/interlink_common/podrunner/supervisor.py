"""Runs one pod from start to end, reports on the way, and terminates it in order when the batch system ends the job."""

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
from interlink_common.podrunner.container_runtime import ContainerRuntime
from interlink_common.podrunner.events import End, ReportChanged
from interlink_common.podrunner.logs import PodLog
from interlink_common.podrunner.processes import find_program
from interlink_common.podrunner.runtime import WorkerRuntime
from interlink_common.podrunner.sinks import Sink

RESYNC_SECONDS = 10.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
STOPPED = "the batch system ended the job"
DELETED = "the pod was deleted"
STOP_FILE_SECONDS = 0.5
"""How often podrunner looks for the stop file."""
TERMINATED = 143
"""The exit code reported of a container that ended with 0 only because it was stopped."""


class NoContainerRuntime(Exception):  # noqa: N818  a state of the node
    """None of the configured container runtimes works; the text says why not, one by one."""


async def find_container_runtime(config: RunnerConfig, directory: Path) -> ContainerRuntime:
    """The first configured runtime that works here. Raises NoContainerRuntime."""
    objections = []
    for name in config.runtimes:
        program = config.programs.get(name) or find_program(name)
        if name != PROCESS and not program:
            objections.append(f"{name} is not installed")
            continue
        container_runtime = _make_container_runtime(name, program or "", config, directory)
        objection = await container_runtime.objection()
        if not objection:
            return container_runtime
        objections.append(f"{name} does not work ({objection})")
    raise NoContainerRuntime("; ".join(objections) or "no container runtime is configured")


def _make_container_runtime(name: str, program: str, config: RunnerConfig, directory: Path) -> ContainerRuntime:
    """Imports only the module of this runtime: every millisecond of imports delays the first container."""
    if name == PROCESS:
        from interlink_common.podrunner.bare import BareProcess  # noqa: PLC0415

        return BareProcess()
    if name == PODMAN:
        from interlink_common.podrunner.podman import Podman  # noqa: PLC0415

        return Podman(program, config, directory)
    from interlink_common.podrunner.apptainer import Apptainer  # noqa: PLC0415

    return Apptainer(name, program, config, directory)


async def run_pod(workload: Workload, config: RunnerConfig, directory: Path, sink: Sink) -> int:
    """Runs the pod to its end and returns podrunner's exit code. Raises NoContainerRuntime before anything is started."""
    container_runtime = await find_container_runtime(config, directory)
    processes.adopt_orphans()
    log = PodLog(sink, config.stream)
    runtime = WorkerRuntime(
        workload, config, directory, container_runtime=container_runtime, log=log, on_event=lambda: agent.wake(workload.uid)
    )
    agent = NodeAgent(runtime, save=_save_nothing, timing=config.timing, resync_seconds=RESYNC_SECONDS)
    termination = JobTermination(agent, workload, config, sink, directory)
    termination.start()
    report_writer = ReportWriter(sink, termination)
    writing_reports = asyncio.create_task(report_writer.run(), name="states")
    agent.add(workload)
    async for _, report in agent.reports():
        report_writer.update(report)
        if report.finished:
            break
    runtime.end_is_known.set()
    await agent.remove(workload, 0)
    await runtime.drain()
    report_writer.close()
    await writing_reports
    await agent.close()
    termination.close()
    report = termination.with_cause(report_writer.report)
    exit_code = exitcodes.STOPPED if termination.cause and not _all_ended_before(report, termination.since) else exitcodes.of_report(report)
    await sink.write_end(End(report, exit_code, termination.cause, time.time_ns()))
    return exit_code


class JobTermination:
    """Terminates the pod, as a deletion does, when the batch system ends the job (SIGTERM: walltime, eviction, removal).

    The stop file, {"grace_seconds": 30}, does the same for batch systems that know no grace periods or send no signals. It may be written
    again with a shorter one.
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

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.on_signal, number)
        if self._stop_file is not None:
            self._tasks.append(asyncio.create_task(self._watch_stop_file(self._stop_file), name="stop file"))

    def close(self) -> None:
        """From now on signals are ignored: the pod has ended, and only its end and exit code are still to be written."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        for task in self._tasks:
            task.cancel()

    def on_signal(self, number: int) -> None:
        """Terminates the pod at the first signal; later ones change nothing."""
        if not self.cause:
            self._set_cause(f"{STOPPED} ({signal.Signals(number).name}: walltime, eviction or removal)")
            self._tasks.append(asyncio.create_task(self._terminate(), name="stop"))

    def _set_cause(self, cause: str) -> None:
        self.cause = self.cause or cause
        self.since = self.since or time.time()

    async def _terminate(self) -> None:
        grace_seconds = await self._sink.grace_seconds()
        if grace_seconds is None:
            grace_seconds = float(self._workload.grace_seconds)
        await self._agent.remove(self._workload.uid, min(grace_seconds, self._config.stop_seconds))

    async def _watch_stop_file(self, path: Path) -> None:
        granted = float("inf")
        while True:
            grace_seconds = read_stop_file(path)
            if grace_seconds is not None and grace_seconds < granted:
                granted = grace_seconds
                self._set_cause(DELETED)
                self._tasks.append(asyncio.create_task(self._agent.remove(self._workload.uid, granted), name="stop"))
            await asyncio.sleep(STOP_FILE_SECONDS)

    def with_cause(self, report: PodReport) -> PodReport:
        """The report with the cause in every container that ended because of it; none of them has succeeded."""
        if not self.cause:
            return report
        return replace(report, containers=tuple(map(self._with_cause, report.containers)))

    def _with_cause(self, entry: ContainerReport) -> ContainerReport:
        state = entry.state
        if not isinstance(state, Terminated) or (state.finished_at or self.since) < self.since:
            return entry
        message = f"{self.cause}: {state.message}" if state.message else self.cause
        code = state.exit_code or TERMINATED
        reason = state.reason if state.exit_code else "Error"
        return replace(entry, state=replace(state, exit_code=code, reason=reason, message=message))


def read_stop_file(path: Path) -> Optional[float]:
    """The grace period in the file; None if there is no file, or not yet all of it."""
    try:
        written = json.loads(path.read_bytes())
        return max(float(written["grace_seconds"]), 0.0)
    except (OSError, ValueError, KeyError, TypeError):
        return None


class ReportWriter:
    """Writes reports to the sink, only the newest, without ever delaying the agent."""

    def __init__(self, sink: Sink, termination: JobTermination) -> None:
        self._sink = sink
        self._termination = termination
        self._report_changed = asyncio.Event()
        self._closed = False
        self.report = PodReport(())

    def update(self, report: PodReport) -> None:
        self.report = report
        self._report_changed.set()

    def close(self) -> None:
        self._closed = True
        self._report_changed.set()

    async def run(self) -> None:
        written = PodReport(())
        while not self._closed:
            await self._report_changed.wait()
            self._report_changed.clear()
            if self.report != written:
                written = self.report
                await self._sink.write_report(ReportChanged(self._termination.with_cause(written), time.time_ns()))


def _all_ended_before(report: PodReport, moment: float) -> bool:
    """Whether every main container had ended by itself."""
    states = [entry.state for entry in report.containers]
    return all(isinstance(state, Terminated) and state.finished_at is not None and state.finished_at < moment for state in states)


def _save_nothing(uid: str, checkpoint: str) -> None:
    """A pod does not outlive its podrunner."""
