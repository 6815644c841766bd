"""The folder .run of the checkout: sockets and state of what the commands serve. Gone when nothing is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.packages import Missing

RUN = Path(".run")


@contextmanager
def run_directory() -> Iterator[Path]:
    """Its absolute path. Raises Missing if it can't be written, which is so after another user's run was cut off."""
    try:
        RUN.mkdir(exist_ok=True)
        (RUN / ".writable").touch()
        (RUN / ".writable").unlink()
    except PermissionError:
        raise Missing(f"You may not write in {RUN.absolute()}: remove it, or work in a copy of the project that is yours.") from None
    try:
        yield RUN.absolute()
    finally:
        with suppress(OSError):
            RUN.rmdir()
