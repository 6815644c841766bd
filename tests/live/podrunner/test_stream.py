"""The stream of real containers: every byte, bounds, and what is left when podrunner itself is killed."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from interlink_common.model.workload import Workload
from interlink_common.podrunner.config import StreamRules
from interlink_common.podrunner.events import Decoder, End, LogLine, LogTruncated
from interlink_common.testing.lifecycle_cases import pod, sh
from tests.live.podrunner.worker import Job, Node, ended

StartJob = Callable[..., Job]


def talks(image: str, text: str, name: str = "talks") -> Workload:
    return pod(name, replace(sh("main", text, mounts=()), image=image))


def test_streams_lines_times_and_bytes(node: Node, image: str, start: StartJob) -> None:
    job = start(node, talks(image, "printf 'one\\ntwo\\n\\n\\377\\000\\n'; printf 'no newline'; echo problem >&2"))
    job.end()
    lines = [event for event in job.events() if isinstance(event, LogLine)]
    out = [(line.data, line.partial) for line in lines if line.stream == "stdout"]
    assert out == [(b"one", False), (b"two", False), (b"", False), (b"\xff\x00", False), (b"no newline", True)]
    assert [line.data for line in lines if line.stream == "stderr"] == [b"problem"]
    state = ended(job.end().report)
    assert state.started_at is not None
    assert all(line.time_ns >= state.started_at * 1e9 for line in lines)
    assert {(line.container, line.attempt) for line in lines} == {("main", 0)}


def test_a_large_log_is_complete(process_node: Node, start: StartJob) -> None:
    """21 MiB in one line, as fast as a process writes, and others beside it."""
    text = "head -c 16777216 /dev/urandom | base64 -w 0 | tee sent; seq 200000 >&2; sha256sum sent >&2"
    job = start(process_node, talks("", text))
    job.end()
    lines = [event for event in job.events() if isinstance(event, LogLine)]
    sent = b"".join(line.written for line in lines if line.stream == "stdout")
    errors = b"".join(line.written for line in lines if line.stream == "stderr").decode().splitlines()
    assert len(sent) == 22369624
    assert errors == [*map(str, range(1, 200001)), f"{hashlib.sha256(sent).hexdigest()}  sent"]


def test_the_log_of_every_attempt(node: Node, image: str, start: StartJob) -> None:
    text = "if test -e /work/tried; then echo second; else touch /work/tried; echo first; exit 1; fi"
    job = start(node, pod("again", replace(sh("main", text), image=image), policy="OnFailure"))
    job.end()
    assert [job.log(attempt=number) for number in (0, 1)] == ["first\n", "second\n"]


def test_a_bounded_log_says_so_and_the_container_goes_on(process_node: Node, start: StartJob) -> None:
    text = "seq 100000; echo done > /dev/termination-log"
    job = start(process_node, talks("", text), stream=StreamRules(log_bytes=1000))
    state = ended(job.end().report)
    assert (state.exit_code, state.message) == (0, "done\n")
    kept = job.log()
    assert kept.splitlines() == [str(number) for number in range(1, len(kept.splitlines()) + 1)]
    assert [event.kept_bytes for event in job.events() if isinstance(event, LogTruncated)] == [len(kept)]
    assert 990 < len(kept) <= 1000


def test_what_was_told_before_podrunner_is_killed_can_be_read(process_node: Node, start: StartJob) -> None:
    job = start(process_node, talks("", "echo before; exec sleep 300"))
    job.until(lambda events: any(isinstance(event, LogLine) for event in events))
    assert job.process is not None
    os.killpg(job.process.pid, signal.SIGKILL)
    job.process.wait()
    kill_leftovers(job.directory)
    assert job.log() == "before\n"
    assert not any(isinstance(event, End) for event in job.events())
    stream = job.stream.read_bytes()
    for cut in range(len(stream)):
        first = Decoder()
        told = list(first.feed(stream[:cut]))
        assert told + list(Decoder(first.offset).feed(stream[first.offset :])) == job.events()


def kill_leftovers(directory: Path) -> None:
    """As a batch system does with what is left of a job."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = str((process / "cwd").readlink()).startswith(str(directory))
        except OSError:
            continue
        if inside:
            os.kill(int(process.name), signal.SIGKILL)
    for leftover in ("attempts", "volumes", "runtime"):
        remove(directory / leftover)


def remove(path: Path) -> None:
    if path.is_dir():
        for entry in path.iterdir():
            remove(entry)
        path.rmdir()
    elif path.exists():
        path.unlink()
