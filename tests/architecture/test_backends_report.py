"""A backend that can't run is listed with its reason, and fails the run if REQUIRE_BACKENDS names it: proven on a suite of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"
SUITE = {
    "tests/unit/test_plain.py": "def test_plain(): pass\n",
    "tests/live/here/test_it.py": "def test_it(): pass\n",
    "tests/live/gone/test_it.py": "def test_it(unavailable): unavailable('gone', 'no such server on this machine')\n",
    "pytest.ini": "[pytest]\nmarkers = live\naddopts = --import-mode=importlib --strict-markers\n",
}


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name, text in SUITE.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    return tmp_path


ONE = ["-p", "xdist"]
TWO = [*ONE, "-n", "2", "--dist", "loadgroup"]


@pytest.mark.parametrize(
    ("workers", "required", "code", "said"),
    [
        (ONE, "here", 0, "gone: no such server on this machine"),
        (TWO, "here", 0, "gone: no such server on this machine"),
        (ONE, "here,gone", 1, "gone must run here (REQUIRE_BACKENDS) but can't: no such server on this machine"),
        (ONE, "nowhere", 1, "FAILED: REQUIRE_BACKENDS names nowhere, of which no test ran"),
    ],
)
def test_missing_backends(suite: Path, workers: list[str], required: str, code: int, said: str) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *workers]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment |= {"REQUIRE_BACKENDS": required, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=suite, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
    assert said in done.stdout
