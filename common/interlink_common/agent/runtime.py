"""The seam under the agent: a container runtime. The Docker plugin's is the engine's API, podrunner's is apptainer or podman.

All calls are idempotent: the agent repeats them after a restart or a lost answer. They raise
`RuntimeUnavailable` when the runtime can't be reached (the agent suspends the pod and tries again) and
`StartError` when it answered and said no (the agent reports the reason and follows the kubelet's back-off).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from interlink_common.lifecycle.interface import SANDBOX, AttemptStatus
from interlink_common.model.workload import Container, Workload

__all__ = ["SANDBOX", "AttemptStatus", "ExecResult", "Runtime", "RuntimeUnavailable", "StartError"]


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
    """What the agent needs of a container runtime, for any number of pods."""

    async def prepare(self, workload: Workload) -> None:
        """Makes the pod's sandbox, volumes and network, or repairs them."""

    async def ensure_image(self, workload: Workload, container: Container) -> None:
        """Pulls the image as imagePullPolicy says. Raises StartError with ErrImagePull, ErrImageNeverPull or InvalidImageName."""

    async def pull_progress(self, workload: Workload, container: Container) -> str:
        """A few words on a pull under way ("" if none): they go into the waiting message."""

    async def start(self, workload: Workload, container: Container, attempt: int, backoff_seconds: float) -> None:
        """Starts that attempt, or does nothing if it was started before.

        StartError with RunContainerError means that the attempt is spent (bad command): it counts as an exit with 128,
        ContainerCannotRun, and restartPolicy applies. Any other reason: the same attempt is tried again, with back-off.
        """

    async def kill(self, workload: Workload, container: str, attempt: int, signal: str) -> None:
        """Sends "TERM" (meaning the container's own stop signal) or "KILL". Does nothing if the attempt is gone."""

    async def execute(self, workload: Workload, container: str, attempt: int, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        """Runs a command inside. Raises TimeoutError (asyncio.TimeoutError) past the timeout."""

    async def address(self, workload: Workload) -> str:
        """Where httpGet, tcpSocket and grpc actions without a host connect to. Raises OSError if the pod has no address: they fail."""

    async def attempts(self, workload: Workload) -> tuple[AttemptStatus, ...]:
        """The status of every attempt that the runtime still has of this pod, termination messages included.

        May include one `AttemptStatus(SANDBOX, 0, state)`: where its state is not "running" while containers run, they are killed, and
        `prepare` is called again before the next start.
        """

    async def prune(self, workload: Workload, container: str, before_attempt: int) -> None:
        """Removes the attempts older than that one (the newest two stay for `logs --previous`)."""

    async def storage_excess(self, workload: Workload) -> str:
        """Why the pod is to be evicted: a sentence if it uses more local storage than it may (emptyDir sizeLimit), else ""."""

    async def remove(self, workload: Workload) -> None:
        """Removes everything of the pod: containers, sandbox, volumes, files."""
