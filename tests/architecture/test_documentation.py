"""What the documentation names exists: the tests of each row of the coverage table, and its backends and values."""

from __future__ import annotations

import ast
import re
import time
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from interlink_common.serve.metrics import Metrics
from interlink_common.tracking.outage import BackendState
from interlink_common.tracking.registry import ContactClock, Registry
from scripts.docs_hooks import BACKENDS, PROVERS, VALUES, Feature, load_coverage, on_page_markdown

ROOT = Path(__file__).parents[2]
TEST = re.compile(r"(tests/[\w/.-]+\.py)(?:::(\w+))?(?:::(\w+))?")
FEATURES = [feature for theme in load_coverage() for feature in theme.features]
each_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.id)


@cache
def defined(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}


@each_feature
def test_every_row_has_a_value_for_every_backend(feature: Feature) -> None:
    assert list(feature.cells) == list(BACKENDS)
    assert {cell.value for cell in feature.cells.values()} <= set(VALUES)


@each_feature
def test_every_row_names_tests_that_exist(feature: Feature) -> None:
    assert set(feature.tests) <= set(PROVERS)
    for test in (test for tests in feature.tests.values() for test in tests):
        named = TEST.fullmatch(test)
        assert named, test
        path, *names = named.groups()
        assert (ROOT / path).is_file(), path
        assert set(filter(None, names)) <= defined(ROOT / path), test


@each_feature
def test_every_backend_of_a_row_is_proven(feature: Feature) -> None:
    """By tests of its own, by podrunner's where pods run with it, or, for what it doesn't do, by those of the library."""
    for backend, cell in feature.cells.items():
        provers = {backend}
        if backend in ("htcondor", "arc"):
            provers.add("podrunner")
        if cell.value in ("warn", "refuse"):
            provers.add("library")
        assert cell.value == "none" or any(feature.tests.get(prover) for prover in provers), f"no test for {backend}"


def test_rows_are_told_apart_by_their_id() -> None:
    assert [id_ for id_, count in Counter(feature.id for feature in FEATURES).items() if count > 1] == []


def test_pages_are_filled_in() -> None:
    """The markers of the pages are understood, and the table has every row."""
    pages = {str(page.relative_to(ROOT)): on_page_markdown(page.read_text()) for page in (ROOT / "docs").rglob("*.md")}
    assert [page for page, made in pages.items() if re.search(r"<!-- (coverage|layers|settings)", made)] == []
    assert [feature.id for feature in FEATURES if f"| {feature.feature} |" not in pages["docs/coverage.md"]] == []


def test_the_architecture_page_names_what_exists_and_every_package() -> None:
    """`package/`, `package/module.py` and `examples/...`; a plugin's own modules are named without a folder."""
    page, library = (ROOT / "docs/architecture.md").read_text(), ROOT / "common/interlink_common"
    named = re.findall(r"`([a-z_]+/(?:[a-z_]+\.py|[a-z_]*))`", page)
    assert named
    assert [path for path in named if not (library / path).exists() and not (ROOT / path).exists()] == []
    packages = {path.stem for path in library.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} - {"__init__"}
    assert sorted(name for name in packages if f"\n| `{name}` |" not in page) == []


def test_every_metric_is_on_the_operators_page() -> None:
    registry = Registry(BackendState("backend", time.time), ContactClock())
    metrics = re.findall(r"^# TYPE (interlink_\w+) ", Metrics(registry).text().decode(), re.MULTILINE)
    page = (ROOT / "docs/operators/index.md").read_text()
    assert metrics
    assert [metric for metric in metrics if f"`{metric}" not in page and not metric.endswith("_created")] == []


def test_constraints_are_pins_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[\w.!+]+", line)] == []
