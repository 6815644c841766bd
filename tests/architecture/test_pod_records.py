"""What is known of a pod changes in one place: no module but `tracking/pods.py` assigns an attribute of a `PodRecord`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import interlink_common
from interlink_common.tracking.pods import PodRecord

ROOT = Path(interlink_common.__file__).parent
HOME = ROOT / "tracking" / "pods.py"
ROOMS = ("tracking", "serve", "cli")
"""Those that can hold a record; what else they hold is not assigned under such a name either."""
NAMES = {field.name for field in fields(PodRecord)}


def assignments(source: str) -> Iterator[str]:
    """Each assignment, deletion or setattr of a record's attribute to anything but `self`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=value, attr=name, ctx=ast.Store() | ast.Del()) if name in NAMES:
                if not (isinstance(value, ast.Name) and value.id == "self"):
                    yield f"line {node.lineno}: {ast.unparse(node)}"
            case ast.Call(func=ast.Name(id="setattr") | ast.Attribute(attr="__setattr__")):
                yield f"line {node.lineno}: {ast.unparse(node)}"


def test_no_other_module_assigns_an_attribute_of_a_record() -> None:
    found = {
        str(path.relative_to(ROOT)): list(assignments(path.read_text()))
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if path != HOME
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "record.jid = 1",
        "record.report, x = 1, 2",
        "registry.pods[u].intent = 1",
        "del record.cached",
        "record.grace_seconds += 1",
        "setattr(record, n, 1)",
    ],
)
def test_every_form_of_assignment_is_found(line: str) -> None:
    assert list(assignments(line))
    assert not list(assignments("self.jid = record.jid"))
