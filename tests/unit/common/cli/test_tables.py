"""What tables show of statuses, and that no text of a pod steers the terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from interlink_common.cli.tables import container_rows, mappings, printable, show, table


def test_rows_of_a_pod() -> None:
    status = {
        "initContainerStatuses": [{"name": "i", "state": {"terminated": {"exitCode": 0}}}],
        "containerStatuses": [
            {"name": "a", "ready": True, "restartCount": 2, "state": {"running": {"startedAt": "x"}}},
            {"name": "b", "state": {"terminated": {"exitCode": 137, "message": "out of memory"}}},
            {"name": "c", "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}},
            {"name": "d"},
        ],
    }
    assert container_rows({"status": status}) == [
        ("init i", "Exited 0", "no", "0", ""),
        ("a", "Running", "yes", "2", ""),
        ("b", "Exited 137", "no", "0", "out of memory"),
        ("c", "ErrImagePull", "no", "0", "not found"),
        ("d", "Waiting", "no", "0", ""),
    ]
    assert container_rows({}) == []


def test_printable_is_one_harmless_line() -> None:
    assert printable("a\x1b[2Jb\r\n c\u202ed\t") == "a [2Jb c d"


def test_cells_are_no_markup() -> None:
    console = Console(record=True, width=60)
    console.print(table(("A", "B"), [("[red]x[/red]", "[/]")]))
    assert [line.split() for line in console.export_text().splitlines()] == [["A", "B"], ["[red]x[/red]", "[/]"]]


def test_long_texts_are_wrapped_and_never_cut() -> None:
    console = Console(record=True, width=60)
    console.print(table(("NAME", "DETAIL", "REMEDY"), [("a-short-name", "detail " * 20, "remedy " * 10)]))
    text = console.export_text()
    assert (text.count("a-short-name"), text.count("detail"), text.count("remedy")) == (1, 20, 10)


def test_without_a_terminal_nothing_is_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    show(mappings([{"id": "0", "model": "m" * 300}]))
    assert capsys.readouterr().out.splitlines()[1].split() == ["0", "m" * 300]
