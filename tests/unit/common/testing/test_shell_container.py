"""The shell texts by which the contract suite tells real containers what to do are run here by a real shell."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import Any

import pytest

from interlink_common.testing.contract_suite import shell_container
from interlink_common.testing.scripts import Script


def command(script: Script) -> list[str]:
    return list(shell_container("main", "image", script)["command"])


@pytest.mark.parametrize(
    ("script", "output", "code"),
    [
        (Script(), "", 0),
        (Script(lines=("one", "it's $HOME `id` \\n %s"), exit_codes=(7,)), "one\nit's $HOME `id` \\n %s\n", 7),
        (Script(lines=("a", "b"), line_seconds=0.01, seconds=0.01), "a\nb\n", 0),
    ],
)
def test_it_prints_and_ends(script: Script, output: str, code: int) -> None:
    done = subprocess.run(command(script), capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode, done.stderr) == (output, code, "")


def test_it_runs_until_it_is_stopped() -> None:
    process = subprocess.Popen(command(Script(lines=("here",), seconds=None)), stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "here\n"
        process.terminate()
        assert process.wait(60) == 143
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_several_exit_codes_need_a_volume_to_count_in() -> None:
    made: dict[str, Any] = shell_container("main", "image", Script(exit_codes=(5, 0)))
    assert made["volumeMounts"] == [{"name": "contract-counters", "mountPath": "/contract"}]
    assert "case $n in 0) code=5;; 1) code=0;; esac" in made["command"][2]
