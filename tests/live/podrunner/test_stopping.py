"""The batch system ends a job: an orderly stop, with the cause in the message, whatever the containers make of it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace

from interlink_common.model.report import Terminated
from interlink_common.model.workload import ExecAction
from interlink_common.podrunner import exitcodes
from interlink_common.podrunner.config import StreamRules
from interlink_common.podrunner.events import End, Event, LogLine, StartedAgain
from interlink_common.testing.lifecycle_cases import SERVE, pod, sh
from tests.live.podrunner.worker import Job, Node, ended, entry

StartJob = Callable[..., Job]
CAUSE = "the batch system ended the job (SIGTERM: walltime, eviction or removal)"


def says(words: bytes) -> Callable[[list[Event]], bool]:
    return lambda events: any(isinstance(event, LogLine) and event.data == words for event in events)


def test_a_container_that_obeys_has_not_succeeded(node: Node, image: str, start: StartJob) -> None:
    hook = ExecAction(("sh", "-c", "echo hook > /work/hook"))
    main = sh("main", "trap 'cat /work/hook; exit 0' TERM; echo up; sleep 600 & wait", image=image, pre_stop=hook)
    job = start(node, pod("obeys", main))
    job.until(says(b"up"))
    job.terminate()
    end = job.end()
    state = ended(end.report)
    assert (end.exit_code, end.cause) == (exitcodes.STOPPED, CAUSE)
    assert (state.exit_code, state.reason) == (143, "Error")
    assert state.message.startswith(CAUSE)
    assert job.log() == "up\nhook\n"


def test_the_grace_is_cut_to_what_the_site_grants(node: Node, image: str, start: StartJob) -> None:
    main = sh("main", "trap '' TERM; echo up; sleep 600", image=image)
    job = start(node, pod("stubborn", main, grace_seconds=3000), stop_seconds=1.0)
    job.until(says(b"up"))
    job.terminate()
    state = ended(job.end().report)
    assert state.exit_code == 137
    assert state.message.startswith(CAUSE)


def test_what_had_ended_before_keeps_its_end(node: Node, image: str, start: StartJob) -> None:
    side = sh("side", "trap '' TERM; echo up; sleep 600", image=image, sidecar=True)
    job = start(node, pod("late", sh("main", "echo finished", image=image), inits=(side,), grace_seconds=2))
    job.until(lambda events: any(isinstance(entry(report).state, Terminated) for report in job.reports()))
    job.terminate()
    end = job.end()
    assert (ended(end.report).exit_code, end.exit_code) == (0, 0)


def test_a_stop_when_everything_is_over_changes_nothing(process_node: Node, start: StartJob) -> None:
    """Signals go on until the process is gone."""
    job = start(process_node, pod("over", sh("main", "exit 3", mounts=())))
    job.until(lambda events: any(isinstance(event, End) for event in events))
    assert job.process is not None
    while job.process.poll() is None:
        job.terminate()
    assert job.end().exit_code == 3


def test_everything_that_a_process_left_behind_is_ended(process_node: Node, start: StartJob) -> None:
    """The scratch fixture looks for what is left: a daemon in a session of its own, whose parent is gone."""
    text = (
        "python3 -c 'import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(600)'; echo up; sleep 1"
    )
    job = start(process_node, pod("daemon", replace(sh("main", text), image="")))
    assert job.end().exit_code == 0


def test_a_stop_while_an_image_is_pulled(apptainer_node: Node, start: StartJob, free_port: int) -> None:
    """A registry that never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", free_port))
        silent.listen()
        job = start(apptainer_node, pod("pulling", sh("main", "true", image=f"127.0.0.1:{free_port}/box:1")))
        connection, _ = silent.accept()
        job.terminate()
        end = job.end()
        connection.close()
    assert end.exit_code == exitcodes.STOPPED
    assert CAUSE in ended(end.report).message


def test_an_interrupt_counts_as_well(process_node: Node, start: StartJob) -> None:
    job = start(process_node, pod("interrupted", sh("main", f"echo up; {SERVE}")))
    job.until(says(b"up"))
    assert job.process is not None
    os.kill(job.process.pid, signal.SIGINT)
    assert "SIGINT" in job.end().cause


def test_a_stop_file_stops_with_the_grace_it_grants_and_hurries_with_less(process_node: Node, start: StartJob) -> None:
    hook = ExecAction(("sh", "-c", "echo hook >> hooked"))
    main = sh("main", "trap '' TERM; echo up; while :; do sleep 0.1; done", pre_stop=hook)
    job = start(process_node, pod("told", main), stream=StreamRules(stop_file="stop.json"))
    job.until(says(b"up"))
    (job.directory / "stop.json").write_text('{"grace_sec')  # not yet whole
    (job.directory / "stop.json").write_text('{"grace_seconds": 600}')
    job.until(lambda _: any(job.directory.rglob("hooked")))
    (job.directory / "stop.json").write_text('{"grace_seconds": 0}')
    end = job.end()
    assert (end.exit_code, end.cause) == (exitcodes.STOPPED, "the pod was deleted")
    assert ended(end.report).exit_code == 137


def test_a_job_that_is_started_again_says_so_in_its_stream(process_node: Node, start: StartJob) -> None:
    job = start(process_node, pod("again", sh("main", "echo up; exit 3", mounts=())))
    job.end()
    with job:
        job.until(lambda events: sum(isinstance(event, End) for event in events) == 2)
        order = [type(event) for event in job.events() if isinstance(event, (End, StartedAgain))]
    assert order == [End, StartedAgain, End]
