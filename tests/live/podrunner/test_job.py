"""A job's files and its node: what is missing is told by name; every Python of this machine carries a pod."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from interlink_common.jobbundle.bundle import build_one_file
from interlink_common.podrunner import exitcodes
from interlink_common.testing.lifecycle_cases import SERVE, pod, probe, sh
from tests.architecture.test_travelling_code import interpreters
from tests.live.podrunner.worker import Job, Node, ended

StartJob = Callable[..., Job]
MAIN = pod("job", sh("main", "echo ran", mounts=()))


def test_no_container_runtime(process_node: Node, start: StartJob) -> None:
    runtimes = ("apptainer", "singularity")
    job = start(process_node, MAIN, runtimes=runtimes, programs={"apptainer": "/bin/false"})
    failure = job.failure()
    assert failure.exit_code == exitcodes.NO_RUNTIME
    assert failure.reason == (
        "the worker node has none of the configured container runtimes: apptainer does not work (exit code 1); singularity is not installed"
    )


def test_the_first_runtime_that_works_is_taken(process_node: Node, start: StartJob) -> None:
    job = start(process_node, MAIN, runtimes=("singularity", "apptainer", "process"), programs={"apptainer": "/bin/false"})
    assert job.end().exit_code == 0
    assert job.log() == "ran\n"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"uid": 1, "images": 7}', "[" * 100_000], ids=["empty", "cut", "list", "types", "deep"])
@pytest.mark.parametrize("file", ["pod.json", "runner.json"])
def test_damaged_files(process_node: Node, scratch: Path, file: str, text: str) -> None:
    job = process_node.job(MAIN, scratch / "job")
    (job.directory / file).write_text(text)
    with job:
        failure = job.failure()
    assert failure.exit_code == exitcodes.BAD_BUNDLE
    assert failure.reason.startswith("the files of the job cannot be read: ")


def test_no_python(process_node: Node, scratch: Path) -> None:
    """The script is told to look for one that nobody has."""
    job = process_node.job(MAIN, scratch / "job")
    script = job.directory / "start.sh"
    script.write_text(script.read_text().replace("(3, 9)", "(9, 9)"))
    with job:
        failure = job.failure()
    assert (failure.exit_code, failure.reason) == (exitcodes.NO_PYTHON, "the worker node has no Python 3.9 or newer")
    assert failure.reason in job.errors


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
def test_every_python_of_this_machine(process_node: Node, scratch: Path, python: str) -> None:
    """As the user that may run it, and with warnings as errors; a probe, a restart and a volume on the way."""
    text = f"test -e /work/tried || {{ touch /work/tried; exit 3; }}; echo ran >/dev/termination-log; touch /work/up; {SERVE}"
    main = sh("main", text, readiness_probe=probe("test -e /work/up", failures=100))
    job = replace(process_node, as_nobody=False).job(pod("python", main, policy="OnFailure"), scratch / "job")
    script = job.directory / "start.sh"
    script.write_text(
        script.read_text()
        .replace("for python in python3 ", f"for python in {python} python3 ")
        .replace(" -I -S -B ", " -W error -I -S -B ")
    )
    with job:
        job.until(lambda events: any(report.containers[0].ready for report in job.reports()))
        job.terminate()
        state = ended(job.end().report)
    assert state.message.endswith("ran\n")
    assert job.errors == ""


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
def test_one_file_is_enough(process_node: Node, scratch: Path, python: str) -> None:
    node = replace(process_node, as_nobody=False)
    one = pod("one-file", sh("main", f"touch /work/up; {SERVE}", readiness_probe=probe("test -e /work/up", failures=100)))
    job = node.job(one, scratch / "job")
    for name in ("pod.json", "runner.json", "podrunner.pyz"):
        (job.directory / name).unlink()
    (job.directory / "start.sh").write_bytes(build_one_file(one, node.config, pythons=[python]))
    with job:
        job.until(lambda events: any(report.containers[0].ready for report in job.reports()))
        job.terminate()
        assert job.end().exit_code == exitcodes.STOPPED
    assert job.errors == ""


def test_exit_codes_follow_the_containers(process_node: Node, start: StartJob) -> None:
    job = start(process_node, pod("codes", sh("first", "sleep 0.5; exit 4", mounts=()), sh("second", "exit 9", mounts=())))
    assert job.end().exit_code == 9


def test_the_bundle_runs_without_anything_else(process_node: Node, scratch: Path) -> None:
    """By hand, as another user would after copying it."""
    job = process_node.job(MAIN, scratch / "job")
    done = subprocess.run(["sh", "start.sh"], cwd=job.directory, env={"PATH": os.environ["PATH"]}, check=False, capture_output=True)
    assert done.returncode == 0
    assert job.log() == "ran\n"
