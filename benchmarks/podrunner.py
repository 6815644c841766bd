"""podrunner's own cost on a worker node: from start.sh to the first container, in memory and time, beside the bare runtime."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from interlink_common.jobbundle.bundle import build
from interlink_common.model.workload import Container, Workload
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.events import LogLine
from tests.live.podrunner.worker import Node, ended
from tests.servers import apptainer

ROUNDS = 25
WARM_UP = 3


def pod(command: tuple[str, ...]) -> Workload:
    container = Container("main", "box", command=command)
    return Workload("uid-bench", "bench", "default", (container,), restart_policy="Never")


def start_seconds(node: Node, folder: Path) -> tuple[float, float]:
    """From the exec of start.sh to the start of the container's program, and to its first line (seconds)."""
    job = node.job(pod(("echo", "up")), folder)
    begin = time.time()
    with job:
        report = job.end().report
    started = ended(report).started_at
    assert started is not None
    first_line = next(event for event in job.events() if isinstance(event, LogLine))
    return started - begin, first_line.time_ns / 1e9 - begin


def bare_seconds(command: list[str]) -> float:
    """From the exec of a program to the first line that is written in it."""
    begin = time.time()
    with subprocess.Popen([*command, "echo", "up"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.time() - begin


def peak_mib(node: Node, folder: Path) -> float:
    """The most memory podrunner itself had while a container ran."""
    with node.job(pod(("sleep", "600")), folder) as job:
        job.until(lambda _: any(report.containers[0].ready for report in job.reports()))
        assert job.process is not None
        status = Path(f"/proc/{job.process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        job.terminate()
        job.end()
    return peak / 1024


def measured(folder: Path) -> dict[str, Any]:
    image = apptainer.build_image(folder / "box.sif")
    program = str(apptainer.program())
    images = {"box": str(image)}
    nodes = {
        "process": Node(RunnerConfig(runtimes=("process",))),
        "apptainer": Node(RunnerConfig(runtimes=("apptainer",), programs={"apptainer": program}, images=images)),
    }
    bare = {
        "process": ["env"],
        "apptainer": [program, "--silent", "exec", "--userns", "--pid", "--contain", "--cleanenv", str(image)],
    }
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in nodes}
    for number in range(ROUNDS + WARM_UP):
        for name, node in nodes.items():
            started, first_line = start_seconds(node, folder / f"{name}-{number}")
            if number >= WARM_UP:
                times[name].append((started, first_line, bare_seconds(bare[name])))
    names = ("started_ms", "first_line_ms", "bare_ms")
    result: dict[str, Any] = {name: dict(zip(names, summary(rows), strict=True)) for name, rows in times.items()}
    result["mib"] = round(peak_mib(nodes["process"], folder / "memory"), 1)
    result["bundle_bytes"] = sum(len(file.data) for file in build(pod(("true",)), RunnerConfig()).files.values())
    result["python"] = python_of_jobs()
    result["rounds"] = ROUNDS
    return result


def summary(rows: list[tuple[float, float, float]]) -> list[dict[str, float]]:
    """Least and median of each column: what the machine does beside can only add to the least."""
    columns = zip(*rows, strict=True)
    return [{"least": round(min(column) * 1e3, 1), "median": round(statistics.median(column) * 1e3, 1)} for column in columns]


def python_of_jobs() -> str:
    """The one that start.sh finds."""
    done = subprocess.run(["python3", "--version"], env={"PATH": Node(RunnerConfig()).path}, check=True, capture_output=True, text=True)
    return done.stdout.split()[1]


def main() -> None:
    if reason := apptainer.unavailable():
        raise SystemExit(reason)
    os.umask(0o022)
    with tempfile.TemporaryDirectory(prefix="interlink-bench-") as folder:
        print(json.dumps(measured(Path(folder))))


if __name__ == "__main__":
    main()
