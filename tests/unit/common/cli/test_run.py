"""`run` and its companions against a plugin that serves on a unix socket: a real process, the real client, the judge in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from interlink_common.cli.identity import find, uids, unresolved
from interlink_common.cli.log_follower import LogFollower
from interlink_common.cli.logs import duration_seconds
from interlink_common.cli.manifests import read_pod
from interlink_common.errors import BackendUnavailable
from interlink_common.testing.scripts import Script
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import CallError
from tests.unit.common.cli.conftest import PROGRAM, Process

Cli = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture
def to(served: Process, cli: Cli) -> Cli:
    """A command line that talks to the served plugin."""
    return lambda *words, **options: cli(*words, "--connect", served.listen, **options)


def test_a_batch_pod_prints_its_logs_and_returns_0(to: Cli, manifest: Write) -> None:
    path = manifest(
        "batch", inits={"first": Script(lines=("prepared",))}, main=Script(lines=("hello", "", "<&> 'world'"), line_seconds=0.05)
    )
    told = to("run", path)
    assert told.exit_code == 0
    assert told.stdout == "[first] prepared\n[main] hello\n[main] \n[main] <&> 'world'\n"
    notes = [line.partition(" ")[2] for line in told.stderr.splitlines()]
    assert notes[0].startswith("pod default/batch is there, uid ")
    assert notes[-1] == "main: Exited 0"
    assert json.loads(to("status", path, "-o", "json").stdout) == [], "it deletes the pod at the end"


def test_one_container_needs_no_prefix_and_its_exit_code_is_ours(to: Cli, manifest: Write) -> None:
    told = to("run", manifest("failing", main=Script(lines=("oh no",), exit_codes=(7,), message="it broke")), "--quiet")
    assert (told.exit_code, told.stdout, told.stderr) == (7, "oh no\n", "")


def test_a_failed_init_container_gives_its_code_and_reason(to: Cli, manifest: Write) -> None:
    told = to("run", manifest("init-fails", inits={"setup": Script(exit_codes=(3,), message="no disk")}, main=Script()))
    assert told.exit_code == 3
    assert "init setup: Exited 3 (no disk)" in told.stderr


def test_attempts_follow_each_other_and_no_line_comes_twice(to: Cli, manifest: Write) -> None:
    path = manifest("restarts", main=Script(lines=("try",), line_seconds=0.3, exit_codes=(1, 1, 0)))
    documents = list(yaml.safe_load_all(path.read_text()))
    documents[0]["spec"]["restartPolicy"] = "OnFailure"
    path.write_text(yaml.safe_dump_all(documents))
    told = to("run", path)
    assert told.exit_code == 0
    assert 1 <= told.stdout.count("try\n") <= 3
    assert set(told.stdout.splitlines()) == {"try"}
    assert "restarts 2" in told.stderr


def test_the_same_pod_can_be_run_again(to: Cli, manifest: Write) -> None:
    path = manifest("again", main=Script(lines=("hi",)))
    for _ in range(3):
        assert (to("run", path).exit_code, to("run", path).stdout) == (0, "hi\n")


def test_a_refused_pod_exits_2_with_the_plugins_sentence(to: Cli, manifest: Write) -> None:
    path = manifest("refused", main=Script())
    path.write_text(path.read_text().replace("image: i", "image: ''"))
    told = to("run", path)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr.startswith("The plugin refused the pod: ")
    assert "image" in told.stderr


def test_what_interlink_would_never_send_is_refused_before(to: Cli, manifest: Write) -> None:
    path = manifest("no-map", main=Script())
    path.write_text(path.read_text().replace("image: i", "image: i\n    envFrom: [{configMapRef: {name: missing}}]"))
    told = to("run", path)
    assert (told.exit_code, told.stdout) == (2, "")
    assert "ConfigMap missing" in told.stderr


def test_a_kept_pod_is_found_again_by_manifest_name_and_uid(to: Cli, manifest: Write) -> None:
    path = manifest("kept", main=Script(lines=("one", "two", "three")), other=Script(lines=("else",)))
    assert to("run", path, "--keep").exit_code == 0
    (known,) = json.loads(to("status", path, "-o", "json").stdout)
    assert (known["name"], known["namespace"], known["status"]["phase"]) == ("kept", "default", "Succeeded")
    rows = [line.split() for line in to("status", path).stdout.splitlines()]
    assert rows[1] == ["default/kept", "Succeeded", "main", "Exited", "0", "no", "0"]
    for which in (["--name", "kept", "-c", "main"], ["--uid", known["uid"], "-c", "main"]):
        told = to("status", *which, "-o", "json")
        assert told.exit_code == 0, told.stderr
        assert json.loads(told.stdout)[0]["status"]["phase"] == "Succeeded"
        assert to("logs", *which, "--tail", "2").stdout == "two\nthree\n"
    told = to("logs", path)
    assert (told.stdout, told.stderr) == ("one\ntwo\nthree\n", "Defaulted container main out of: main, other\n")
    assert to("logs", path, "-c", "other", "-f").stdout == "else\n"
    assert to("logs", path, "--limit-bytes", "5").stdout == "one\nt"
    assert to("logs", path, "--since", "1h", "--timestamps").stdout.count("Z ") == 3
    assert to("logs", path, "--since-time", "2999-01-01T00:00:00+01:00").stdout == ""
    assert to("logs", path, "--tail", "-1", "-c", "main").stdout == "one\ntwo\nthree\n"
    assert to("logs", path, "--tail", "0").stdout == to("logs", path, "--tail", "0", "-f", "--since", "1h").stdout == ""
    assert to("logs", path, "--all-containers").stdout == "one\ntwo\nthree\nelse\n"
    assert to("logs", path, "--all-containers", "--prefix", "--tail", "1", "--limit-bytes", "3").stdout == (
        "[pod/kept/main] thr[pod/kept/other] els"
    )
    followed = to("logs", path, "--all-containers", "--prefix", "-f").stdout.splitlines()
    assert sorted(followed) == [f"[pod/kept/{text}" for text in ("main] one", "main] three", "main] two", "other] else")]
    missing = to("logs", path, "-c", "nope")
    assert missing.exit_code == 2
    assert "nope" in missing.stderr
    assert to("logs", path, "-c", "main", "--previous").exit_code == 2
    assert to("run", path).stdout.count("[main]") == 3, "a pod that is there is taken up, not created twice"
    assert to("status", path).exit_code == 1


def test_delete_ends_a_running_pod_and_waits(to: Cli, manifest: Write, served: Process) -> None:
    path = manifest("long", main=Script(lines=("up",), seconds=None))
    with served.command("run", str(path), "--keep") as running:
        assert running.stdout
        assert running.stdout.readline() == "up\n"
        told = to("delete", path, "--grace-period", "1")
        assert (told.exit_code, told.output) == (0, "")
        assert to("status", path).stderr == "The plugin does not know: default/long.\n"
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 2
    assert errors.splitlines()[-1] == "Pod default/long was deleted while it ran."
    assert to("delete", path).exit_code == 0, "an unknown pod is no error"
    assert to("logs", path).exit_code == 2


def test_ctrl_c_deletes_the_pod_with_its_grace(to: Cli, manifest: Write, served: Process) -> None:
    path = manifest("interrupted", main=Script(lines=("up",), seconds=None))
    with served.command("run", str(path), "--keep") as running:
        assert running.stdout
        assert running.stdout.readline() == "up\n"
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "deleting the pod; its grace period is 30 s" in errors
    assert "Traceback" not in errors
    assert to("status", path).exit_code == 1


def test_on_a_terminal_the_table_lives_below_the_logs(manifest: Write, served: Process) -> None:
    path = manifest("terminal", main=Script(lines=("hello",), line_seconds=0.2, exit_codes=(5,), message="enough"))
    ours, theirs = pty.openpty()
    environment = {**served.environment, "INTERLINK_CONNECT": served.listen, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([PROGRAM, "run", path], env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        screen = b""
        with os.fdopen(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):  # Linux: EIO when the last writer has gone
            while chunk := terminal.read(4096):
                screen += chunk
        assert process.wait(60) == 5
    last_table = screen.rpartition(b"CONTAINER")[2]
    assert screen.count(b"hello") == 1
    assert screen.index(b"hello") < len(screen) - len(last_table), "the table is drawn again below each line"
    assert b"Exited 5" in last_table
    assert b"enough" in last_table


def test_several_pods_in_one_table(to: Cli, manifest: Write) -> None:
    first, second = manifest("table-a", main=Script()), manifest("table-b", main=Script())
    for path in (first, second):
        assert to("run", path, "--keep").exit_code == 0
    rows = to("status", first, second).stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["POD", "default/table-a", "default/table-b"]
    assert to("delete", first, second, "--no-wait").exit_code == 0


def test_uids_follow_from_namespace_and_name(manifest: Write) -> None:
    path = manifest("p", main=Script())
    here, again, there = (uids(read_pod(path, namespace)) for namespace in ("a", "a", "b"))
    assert here == again
    assert len({*here, *there}) == len(here) + len(there)
    path.write_text(path.read_text().replace("name: p", "name: p\n  uid: 11111111-2222-3333-4444-555555555555"))
    assert uids(read_pod(path, "a")) == ["11111111-2222-3333-4444-555555555555"]


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        (500, "it broke", "The plugin answered 500 to a status request: it broke"),
        (200, "<html>", "What answers there is no interLink plugin; is --connect right?"),
        (200, '{"status": "ok"}', "What answers there is no interLink plugin; is --connect right?"),
        (200, "[3]", "What answers there is no interLink plugin; is --connect right?"),
    ],
)
async def test_strange_answers_are_a_sentence(manifest: Write, code: int, text: str, sentence: str) -> None:
    class Client:
        async def send(self, *_call: object) -> httpx.Response:
            return httpx.Response(code, text=text)

    client: Any = Client()
    with pytest.raises(BackendUnavailable) as refused:
        await find(client, unresolved(read_pod(manifest("p", main=Script()), "default"), now=0))
    assert str(refused.value) == sentence


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("10ms", 1), ("1h2m3s", 3723)])
def test_durations_as_go_writes_them(text: str, seconds: int) -> None:
    assert duration_seconds(text) == seconds


class Streams:
    """A client whose log streams are given, one per call; None: no such log yet."""

    def __init__(self, *streams: list[bytes] | None) -> None:
        self.streams, self.asked = list(streams), []  # type: tuple[list[list[bytes] | None], list[bool]]

    async def logs(self, pod: VirtualPod, container: str, *, follow: bool, timestamps: bool) -> AsyncIterator[bytes]:
        assert timestamps
        self.asked.append(follow)
        chunks = self.streams.pop(0)
        if chunks is None:
            raise CallError("getLogs", 404, "not yet")
        for chunk in chunks:
            yield chunk


async def test_a_follower_shows_each_line_once_over_all_streams(manifest: Write) -> None:
    pod = unresolved(read_pod(manifest("p", main=Script()), "default"), now=0)
    shown: list[bytes] = []
    rounds = asyncio.Condition()
    first = [b"2026-01-01T00:00:00.1Z one\n2026-01-01T00:00:00", b".1Z same time\n", b"2026-01-01T00:00:01Z two"]
    second = [b"2026-01-01T00:00:00.100000000Z one\n2026-01-01T00:00:01Z two\n2026-01-01T00:00:01.5Z three\n"]
    client: Any = Streams(None, first, second)
    task = asyncio.create_task(LogFollower(client, pod, "main", shown.append, rounds).run())
    for state in ({}, {"restartCount": 1}, {}):
        for _ in range(20):
            await asyncio.sleep(0)
        pod.status["containerStatuses"][0].update(state)
        pod.status["phase"] = "Pending" if client.streams else "Succeeded"
        client.streams += [] if client.streams else [second]
        async with rounds:
            rounds.notify_all()
    await asyncio.wait_for(task, 30)
    assert shown == [b"one", b"same time", b"two", b"three"]
    assert client.asked == [True, True, True, False]
