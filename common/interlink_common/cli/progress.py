"""Shows a pod while it runs: a live table of its containers on a terminal, one line per change elsewhere. Logs go to stdout."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from interlink_common.cli.tables import CONTAINER_HEAD, container_rows, printable, table

Document = dict[str, Any]


class Progress:
    """A context manager. With `quiet`, only logs are printed."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._live: Live | None = None
        if self._console.is_terminal and not quiet:
            self._live = Live(console=self._console, auto_refresh=False)
        self._shown: dict[str, tuple[str, str, str, str, str]] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def pod(self, document: Document) -> None:
        """Shows the state of a v1.Pod's containers, if it changed."""
        rows = {row[0]: row for row in container_rows(document)}
        if rows == self._shown:
            return
        if self._live:
            self._live.update(table(CONTAINER_HEAD, rows.values()), refresh=True)
        else:
            for name, row in rows.items():
                if self._shown.get(name) != row:
                    self.note(_change(name, *row[1:]))
        self._shown = rows

    def note(self, text: str) -> None:
        """One line about the pod, on stderr."""
        self._console.print(Text(f"{time.strftime('%H:%M:%S')} {printable(text)}", style="dim"), soft_wrap=True)

    def log_line(self, prefix: str, line: bytes) -> None:
        """One line of a log as it is, on stdout; above the live table if both share a terminal."""
        if self._live and sys.stdout.isatty():
            self._console.print(Text.assemble((prefix, "cyan"), Text.from_ansi(line.decode(errors="replace"))), soft_wrap=True)
            return
        sys.stdout.buffer.write(prefix.encode() + line + b"\n")
        sys.stdout.buffer.flush()


def _change(name: str, state: str, ready: str, restarts: str, message: str) -> str:
    notes = ["ready"] if ready == "yes" else []
    notes += [f"restarts {restarts}"] if restarts != "0" else []
    notes += [message] if message else []
    return f"{name}: {state}" + (f" ({'; '.join(notes)})" if notes else "")
