"""Tables: for a terminal as rich draws them. Texts of pods and backends are shown as they are, less what would steer the terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Document = dict[str, Any]

CONTAINER_HEAD = ("CONTAINER", "STATE", "READY", "RESTARTS", "MESSAGE")
_SHORT = 24
_COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def printable(text: str) -> str:
    """The text on one line without control characters (Unicode categories C*), which could move the cursor or forge lines."""
    return " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in text).split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table without frames; its cells are never read as rich's markup. Columns of short texts are never wrapped."""
    shown = [[printable(cell) for cell in row] for row in rows]
    drawn = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(head):
        drawn.add_column(name, overflow="fold", no_wrap=all(len(row[index]) <= _SHORT for row in shown))
    for row in shown:
        drawn.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    return drawn


def show(drawn: Table) -> None:
    """Prints to stdout, as wide as the terminal; not cut to any width where there is none, so that programs can read it."""
    console = Console(soft_wrap=False)
    if not console.is_terminal:
        console = Console(width=1000)
    console.print(drawn)


def mappings(rows: Sequence[Mapping[str, str]]) -> Table:
    """Rows with the same keys, which are the head."""
    return table([key.upper() for key in rows[0]], [list(row.values()) for row in rows])


def container_rows(pod: Document) -> list[tuple[str, str, str, str, str]]:
    """One row per container in the status of a v1.Pod, init containers first; columns as in CONTAINER_HEAD."""
    status = pod.get("status") or {}
    entries = [("init ", entry) for entry in status.get("initContainerStatuses") or []]
    entries += [("", entry) for entry in status.get("containerStatuses") or []]
    return [_container_row(prefix, entry) for prefix, entry in entries]


def _container_row(prefix: str, entry: Document) -> tuple[str, str, str, str, str]:
    state, message = container_state(entry)
    ready = "yes" if entry.get("ready") else "no"
    return f"{prefix}{entry['name']}", state, ready, str(entry.get("restartCount", 0)), message


def container_state(entry: Document) -> tuple[str, str]:
    """A v1.ContainerStatus in two texts: state ("Running", "Exited 1", the reason of waiting), and the message if there is one."""
    state = entry.get("state") or {}
    if terminated := state.get("terminated"):
        return f"Exited {terminated.get('exitCode', 0)}", terminated.get("message") or ""
    if "running" in state:
        return "Running", ""
    waiting = state.get("waiting") or {}
    return waiting.get("reason") or "Waiting", waiting.get("message") or ""
