"""`make bench` is no test and runs rarely, so what only it would notice is noticed here: that each of its programs starts at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_program_finds_what_it_imports() -> None:
    modules = [f"benchmarks.{path.stem}" for path in (ROOT / "benchmarks").glob("*.py")]
    assert modules
    # In a process of its own, from the folder that `make` runs in: pytest's own import path would hide what is missing there.
    program = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
