"""An event loop whose clock jumps: when nothing is ready, the time of the next timer is now. Hours of back-off take milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_700_000_000.0
"""Where virtual time begins, in unix seconds."""


LIMIT_SECONDS = 7 * 86400.0


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("the program under test waits for something that can never happen")
        ready = super().select(0)
        if not ready and timeout > 0:
            self.now += timeout
        if self.now > LIMIT_SECONDS:
            raise RuntimeError("the program under test still goes on after a virtual week")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` counts virtual seconds from 0, where asyncio can tell nanoseconds apart. Not for threads or real sockets."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def now() -> float:
    """Unix seconds of the running loop's virtual clock."""
    return EPOCH + asyncio.get_running_loop().time()


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
