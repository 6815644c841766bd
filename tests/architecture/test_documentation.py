"""What the documentation names exists: each row of the coverage table has tests, and they are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COVERAGE = ROOT / "docs/coverage.md"
TEST = re.compile(r"`(tests/[\w/.-]+\.py)(?:::(\w+))?(?:::(\w+))?`")


def rows() -> list[str]:
    """The table's rows without its head."""
    lines = [line for line in COVERAGE.read_text().splitlines() if line.startswith("|")]
    return lines[2:]


def defined(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip())
def test_every_row_names_tests_that_exist(row: str) -> None:
    named = TEST.findall(row)
    assert named, "no test is named"
    for path, *names in named:
        file = ROOT / path
        assert file.is_file(), path
        assert set(filter(None, names)) <= defined(file), f"{path} does not define {names}"


def test_constraints_are_pins_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[\w.!+]+", line)] == []
