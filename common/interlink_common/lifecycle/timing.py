"""The kubelet's delays, in seconds: constants of Kubernetes, here as a value so that tests can make them small."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """All in seconds. Sources: Kubernetes "Pod Lifecycle" (restart back-off), "Images" (pull back-off), kubelet's kuberuntime."""

    backoff_first_seconds: float = 10.0
    backoff_limit_seconds: float = 300.0
    backoff_reset_seconds: float = 600.0
    """A container that ran this long before it ended restarts without back-off, as if it had never failed."""
    minimum_grace_seconds: float = 2.0
    """What a container gets between TERM and KILL, however long its preStop hook took."""
    kill_again_seconds: float = 10.0
    """A KILL that showed no effect is repeated after this time."""
    progress_seconds: float = 5.0
    """How often a pull under way is asked for its progress."""
    excess_seconds: float = 10.0
    """How often a running pod with a size-limited emptyDir is measured."""
    unavailable_first_seconds: float = 1.0
    unavailable_limit_seconds: float = 30.0
    """The back-off while the runtime can't be reached."""

    def backoff_after(self, delay_seconds: float) -> float:
        """The delay after a delay: the first one, then doubling up to the limit."""
        if delay_seconds <= 0:
            return self.backoff_first_seconds
        return min(delay_seconds * 2, self.backoff_limit_seconds)
