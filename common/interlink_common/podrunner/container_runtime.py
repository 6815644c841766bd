"""The seam to a container runtime of the node: what podrunner needs of apptainer, singularity, podman, or of no runtime at all."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Protocol, TypeVar

from interlink_common.model.workload import Container, RegistryCredential
from interlink_common.podrunner.images import Image

LAST_LINE_CHARACTERS = 2048
KEPT_BYTES, READ_BYTES = 2**20, 65536

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Bind:
    """`source` on the node appears as `target` in the container. `needed`: the container can't be started without it."""

    source: str
    target: str
    read_only: bool = False
    needed: bool = True


@dataclass(frozen=True)
class Launch:
    """One attempt of a container. `directory` is its own, private and empty. `environment` is the pod's, without that of the image."""

    name: str
    container: Container
    image: str
    environment: Mapping[str, str]
    binds: tuple[Bind, ...]
    directory: Path
    hostname: str = ""


@dataclass(frozen=True)
class Program:
    """What to start on the node. `environment` is all it gets."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    directory: str = "/"


@dataclass(frozen=True)
class StartFailure:
    """Why a container did not start although its program did, as a kubelet reports it."""

    exit_code: int
    message: str


@dataclass(frozen=True)
class CompletedProgram:
    exit_code: int
    output: bytes
    errors: bytes

    @property
    def last_line(self) -> str:
        """The last line of standard error, or the exit code."""
        lines = self.errors.decode(errors="replace").strip().splitlines()
        return lines[-1][-LAST_LINE_CHARACTERS:].strip() if lines else f"exit code {self.exit_code}"


class ContainerRuntime(Protocol):
    """One container runtime. Its programs run in sessions of their own; everything that is slow is awaited."""

    name: str
    enforces_limits: bool
    """It makes cgroups for its containers, so podrunner makes none."""

    async def objection(self) -> str:
        """ "" or why it does not work on this node."""

    async def pull(self, image: Image, container: Container, credentials: Sequence[RegistryCredential]) -> str:
        """What `Launch.image` is to be. Raises StartError with ErrImagePull, ErrImageNeverPull or InvalidImageName."""

    async def program(self, launch: Launch) -> Program:
        """What runs the container in the foreground and ends as it ends. Raises StartError."""

    def first_process(self, launch: Launch, pid: int) -> Optional[int]:
        """The container's own first process, where `pid` is the program's; None while there is none yet."""

    def exec_program(self, launch: Launch, first_process: int, command: Sequence[str]) -> Program:
        """What runs a command inside the running container."""

    def start_failure(self, exit_code: int, stderr_end: str) -> Optional[StartFailure]:
        """Whether the program ended so because the container could not be started. `stderr_end`: the end of its standard error."""

    async def was_oom_killed(self, launch: Launch) -> bool:
        """Whether the runtime itself knows that the ended container was killed for its memory."""

    async def remove_container(self, launch: Launch) -> None:
        """Removes what the runtime keeps of an ended container."""


async def run_program(program: Program, timeout_seconds: Optional[float] = None, keep_bytes: int = KEPT_BYTES) -> CompletedProgram:
    """Runs it to its end. Raises asyncio.TimeoutError (everything it started is killed then) and OSError if there is no such program.

    `keep_bytes`: how much of each output is kept, the rest is read and dropped.
    """
    process = await asyncio.create_subprocess_exec(
        *program.arguments,
        env=dict(program.environment),
        cwd=program.directory,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    pipes = (process.stdin, process.stdout, process.stderr)
    try:
        output, errors = await asyncio.wait_for(_communicate(*pipes, program.stdin, keep_bytes), timeout_seconds)  # type: ignore[arg-type]
        exit_code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return CompletedProgram(exit_code, output, errors)


async def run_in_thread(function: Callable[[], Answer]) -> Answer:
    """For a call into a file system that may hang."""
    return await asyncio.get_running_loop().run_in_executor(None, function)


async def _communicate(
    stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader, data: bytes, keep_bytes: int
) -> tuple[bytes, bytes]:
    _, output, errors = await asyncio.gather(_write_all(stdin, data), _read_bounded(stdout, keep_bytes), _read_bounded(stderr, keep_bytes))
    return output, errors


async def _write_all(stream: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        stream.write(data)
        await stream.drain()
    stream.close()


async def _read_bounded(stream: asyncio.StreamReader, keep_bytes: int) -> bytes:
    kept = b""
    while data := await stream.read(READ_BYTES):
        kept += data[: keep_bytes - len(kept)]
    return kept
