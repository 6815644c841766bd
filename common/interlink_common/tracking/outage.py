"""Whether the backend answers, and the sentence that every waiting pod shows while it does not."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from interlink_common.tracking.composition import rfc3339

_OUTAGE = re.compile(r" ?the \S+ backend is unreachable since \S+(?: \(.*?\))?; this is the last known state")


def without_outage(message: str) -> str:
    """A waiting message without what `BackendState.sentence` once added to it."""
    return _OUTAGE.sub("", message)


class BackendState:
    """Whether the backend answers. While it does not, every pod keeps its last state and says since when."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._count = 0
        self.down_since: float | None = None
        self.cause = ""
        """Why, in the backend's own words."""
        self.outage = 0
        """Number of the present outage and cause, 0 while the backend answers: a cached answer of another number is stale."""
        self.up = asyncio.Event()
        """Set while the backend answers; not yet set before its first answer."""
        self.tried = asyncio.Event()
        """Set once it has answered, or failed to, for the first time."""

    def lost(self, cause: str = "") -> None:
        self.up.clear()
        self.tried.set()
        if self.down_since is None:
            self.down_since = self._clock()
        elif cause == self.cause:
            return
        self.cause = cause
        self._count += 1
        self.outage = self._count

    def back(self) -> None:
        self.down_since = None
        self.outage = 0
        self.up.set()
        self.tried.set()

    @property
    def sentence(self) -> str:
        """What waiting messages say of an outage, "" while the backend answers."""
        if self.down_since is None:
            return ""
        cause = f" ({self.cause})" if self.cause else ""
        return f"the {self._name} backend is unreachable since {rfc3339(self.down_since)}{cause}; this is the last known state"
