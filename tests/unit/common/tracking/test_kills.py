"""kill -9 between any two durable steps: real processes, killed for real, and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interlink_common import faultpoints

pytestmark = pytest.mark.slow

UID = "0266151f-3486-47f5-8383-9fcc9877a359"
RUNNING: dict[str, Any] = {"pods": {UID: f"jid-{UID}"}, "graves": [], "jobs": {UID: 1}, "answers": []}
REMOVED: dict[str, Any] = {"pods": {}, "graves": [UID], "jobs": {}, "answers": []}


def victim(tmp_path: Path, *verbs: str, fault: str = "") -> subprocess.CompletedProcess[str]:
    (tmp_path / "site").mkdir(exist_ok=True)
    program = [sys.executable, str(Path(__file__).with_name("victim.py")), str(tmp_path / "state"), str(tmp_path / "site"), *verbs]
    environment = {**os.environ, faultpoints.VARIABLE: fault}
    return subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=False)


def outcome(run: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert run.returncode == 0, run.stderr
    return dict(json.loads(run.stdout.splitlines()[-1]))


CASES = {
    faultpoints.RECORDED: (["create"], RUNNING),
    faultpoints.SUBMITTED: (["create"], RUNNING),
    faultpoints.JID_STORED: (["create"], RUNNING),
    faultpoints.DELETE_RECORDED: (["create", "delete"], REMOVED),
    faultpoints.CANCELLED: (["create", "delete"], REMOVED),
}


def test_every_fault_point_has_a_case() -> None:
    assert tuple(CASES) == faultpoints.ALL


@pytest.mark.parametrize("fault", CASES)
def test_the_next_start_heals_a_kill(tmp_path: Path, fault: str) -> None:
    verbs, expected = CASES[fault]
    assert victim(tmp_path, *verbs, fault=fault).returncode == -signal.SIGKILL
    assert outcome(victim(tmp_path)) == expected


@pytest.mark.parametrize("fault", [faultpoints.RECORDED, faultpoints.SUBMITTED, faultpoints.JID_STORED])
def test_a_create_sent_again_after_a_kill_is_the_same_pod(tmp_path: Path, fault: str) -> None:
    assert victim(tmp_path, "create", fault=fault).returncode == -signal.SIGKILL
    found = outcome(victim(tmp_path, "create"))
    assert (found["pods"], found["jobs"]) == (RUNNING["pods"], RUNNING["jobs"])
    assert found["answers"][0] in (UID, f"jid-{UID}")


@pytest.mark.parametrize("fault", [faultpoints.RECORDED, faultpoints.SUBMITTED, faultpoints.JID_STORED])
def test_a_delete_after_a_kill_during_create_leaves_nothing(tmp_path: Path, fault: str) -> None:
    assert victim(tmp_path, "create", fault=fault).returncode == -signal.SIGKILL
    assert outcome(victim(tmp_path, "delete")) == REMOVED
