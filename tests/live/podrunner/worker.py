"""A job on a worker node under test: its bundle is written, start.sh is run as a batch system would, and the stream is read back."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlink_common.jobbundle.bundle import build
from interlink_common.model.report import ContainerReport, PodReport, Terminated
from interlink_common.model.workload import Workload
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.events import Decoder, End, Event, Failed, LogLine, ReportChanged

PATIENCE_SECONDS = 60.0
NOBODY = 65534
PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


@dataclass
class Node:
    """What a job finds on its node. `as_nobody`: the job has no privileges, as on a real pool."""

    config: RunnerConfig
    as_nobody: bool = False
    path: str = PLAIN_PATH
    environment: dict[str, str] = field(default_factory=dict)

    def job(self, workload: Workload, directory: Path, **changes: Any) -> Job:
        return Job(self, workload, directory, RunnerConfig(**{**vars(self.config), **changes}))


class Job:
    """One job. Used as a context manager, it ends with all its processes."""

    def __init__(self, node: Node, workload: Workload, directory: Path, config: RunnerConfig) -> None:
        self.node = node
        self.directory = directory
        self.stream = directory / "events.jsonl"
        directory.mkdir(parents=True, exist_ok=True)
        for name, file in build(workload, config).files.items():
            (directory / name).write_bytes(file.data)
            (directory / name).chmod(file.mode)
        if node.as_nobody:
            for path in (directory, *directory.iterdir()):
                os.chown(path, NOBODY, NOBODY)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Job:
        as_whom: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.node.as_nobody else {}
        environment = {"PATH": self.node.path, "HOME": str(self.directory), "LEAKED": "of the node", **self.node.environment}
        with (self.directory / "stderr").open("wb") as errors:
            self.process = subprocess.Popen(
                ["/bin/sh", "./start.sh"], cwd=self.directory, env=environment, stderr=errors, start_new_session=True, **as_whom
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE_SECONDS)
            finally:
                self.process.kill()
                self.process.wait()

    @property
    def errors(self) -> str:
        return (self.directory / "stderr").read_text(errors="replace")

    def events(self) -> list[Event]:
        return list(Decoder().feed(self.stream.read_bytes())) if self.stream.exists() else []

    def reports(self) -> list[PodReport]:
        """All that were told; the summary's last."""
        return [event.report for event in self.events() if isinstance(event, (ReportChanged, End))]

    def until(self, wanted: Callable[[list[Event]], bool]) -> list[Event]:
        """The events as soon as they fit."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not wanted(events := self.events()):
            assert time.monotonic() < deadline, f"did not come true; the last events are {events[-3:]}; {self.errors}"
            time.sleep(0.02)
        return events

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> End:
        """The summary, when podrunner has ended with its exit code."""
        assert self.process is not None
        code = self.process.wait(PATIENCE_SECONDS)
        last = self.events()[-1]
        assert isinstance(last, End), (last, self.errors)
        assert last.exit_code == code
        return last

    def failure(self) -> Failed:
        assert self.process is not None
        code = self.process.wait(PATIENCE_SECONDS)
        last = self.events()[-1]
        assert isinstance(last, Failed), (last, self.errors)
        assert last.exit_code == code
        return last

    def log(self, container: str = "main", stream: str = "", attempt: int | None = None) -> str:
        lines = [event for event in self.events() if isinstance(event, LogLine) and event.container == container]
        wanted = [line for line in lines if stream in ("", line.stream) and attempt in (None, line.attempt)]
        return b"".join(line.written for line in wanted).decode(errors="replace")


def entry(report: PodReport, name: str = "main") -> ContainerReport:
    return next(found for found in (*report.init_containers, *report.containers) if found.name == name)


def ended(report: PodReport, name: str = "main") -> Terminated:
    state = entry(report, name).state
    assert isinstance(state, Terminated), state
    return state


def processes_below(directory: Path) -> list[str]:
    """Command lines on this machine that name the directory, or work in it."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            inside = str(directory) in line or str((process / "cwd").readlink()).startswith(str(directory))
        except OSError:
            continue
        if process.name.isdigit() and inside:
            found.append(line)
    return found


def mounts_below(directory: Path) -> Sequence[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]
