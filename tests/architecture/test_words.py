"""One word, one thing: what a pod means is called `workload` wherever it is passed, and no file of the products hides a second one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("common", "plugins") for path in (ROOT / folder).rglob("*.py") if ".venv" not in path.parts)
MOST_LINES = 350


def parameters(tree: ast.AST) -> Iterator[ast.arg]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_workload_is_called_workload_and_a_file_is_one_thing(file: Path) -> None:
    text = file.read_text()
    workloads = (each for each in parameters(ast.parse(text)) if each.annotation and ast.unparse(each.annotation) == "Workload")
    assert {each.arg for each in workloads} <= {"workload"}
    assert text.count("\n") <= MOST_LINES
