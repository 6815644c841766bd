"""The seam under the agent: a container runtime. The Docker plugin's is the engine's API, podrunner's is apptainer or podman.

All calls are idempotent: the agent repeats them after a restart or a lost answer. They raise
`RuntimeUnavailable` when the runtime can't be reached (the agent freezes the pod and tries again) and
`StartError` when it answered and said no (the agent reports the reason and follows the kubelet's back-off).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from interlink_common.lifecycle.seen import SANDBOX, Seen
from interlink_common.model.workload import Container, Workload

__all__ = ["SANDBOX", "ExecResult", "Runtime", "RuntimeUnavailable", "Seen", "StartError"]


class RuntimeUnavailable(Exception):  # noqa: N818  a state of the world, not a mistake
    """The runtime can't be reached; nothing is known to have changed."""


class StartError(Exception):
    """The runtime refused. `reason` is a waiting reason (ErrImagePull, ErrImageNeverPull, InvalidImageName,
    CreateContainerConfigError, CreateContainerError, RunContainerError, FailedMount), `message` a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class ExecResult:
    exit_code: int
    output: str = ""


class Runtime(Protocol):
    """What the agent asks of a container runtime, for any number of pods."""

    async def prepare(self, pod: Workload) -> None:
        """Makes sandbox, volumes and network of the pod, or repairs them."""

    async def ensure_image(self, pod: Workload, container: Container) -> None:
        """Pulls the image as imagePullPolicy says. Raises StartError with ErrImagePull, ErrImageNeverPull or InvalidImageName."""

    async def pull_progress(self, pod: Workload, container: Container) -> str:
        """A few words on a pull under way ("" if none): they go into the waiting message."""

    async def start(self, pod: Workload, container: Container, attempt: int, backoff_seconds: float) -> None:
        """Starts that attempt, or does nothing if it was started before.

        StartError with RunContainerError means that the attempt is spent (bad command): it counts as an exit with 128,
        ContainerCannotRun, and restartPolicy applies. Any other reason: the same attempt is tried again, with back-off.
        """

    async def kill(self, pod: Workload, container: str, attempt: int, signal: str) -> None:
        """Sends "TERM" (meaning the container's own stop signal) or "KILL". Nothing if it is gone."""

    async def execute(self, pod: Workload, container: str, attempt: int, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        """Runs a command inside. Raises TimeoutError (asyncio.TimeoutError) past the timeout."""

    async def address(self, pod: Workload) -> str:
        """Where httpGet, tcpSocket and grpc actions without a host connect to. Raises OSError if there is no such place: they fail."""

    async def seen(self, pod: Workload) -> tuple[Seen, ...]:
        """Every attempt the runtime still knows of this pod, termination messages read.

        May include one `Seen(SANDBOX, 0, state)`: when the sandbox is not "running" under running containers, they are killed
        and `prepare` is called again before the next start.
        """

    async def prune(self, pod: Workload, container: str, before_attempt: int) -> None:
        """Removes the attempts older than that one (the newest two stay for `logs --previous`)."""

    async def excess(self, pod: Workload) -> str:
        """A sentence if the pod uses more local storage than it may (emptyDir sizeLimit), else ""; the pod is then evicted."""

    async def remove(self, pod: Workload) -> None:
        """Removes everything of the pod: containers, sandbox, volumes, files."""
