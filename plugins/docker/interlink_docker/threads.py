"""Blocking work in threads, to its end: a thread can't be interrupted, so whoever cancels the wait for it still gets to wait.

Otherwise a pod's removal could overtake the creation of its sandbox or the writing of its files.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

Answer = TypeVar("Answer")


async def in_thread(function: Callable[[], Answer], pool: Executor | None = None) -> Answer:
    """What the function returns or raises. Cancelled, it ends only when the function has."""
    running = asyncio.get_running_loop().run_in_executor(pool, function)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):  # cancelled once more
                await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # told to nobody: the caller has left
        raise
