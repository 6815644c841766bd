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

LAST_WORDS = 2048
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
class Refusal:
    """Why a container did not start though its program did; as a kubelet tells it."""

    exit_code: int
    message: str


@dataclass(frozen=True)
class Done:
    exit_code: int
    output: bytes
    errors: bytes

    @property
    def last_words(self) -> str:
        """The last line of what went wrong."""
        lines = self.errors.decode(errors="replace").strip().splitlines()
        return lines[-1][-LAST_WORDS:].strip() if lines else f"exit code {self.exit_code}"


class ContainerTool(Protocol):
    """One container runtime. Its programs run in sessions of their own; everything that is slow is awaited."""

    name: str
    limits_itself: bool
    """It makes cgroups for its containers."""

    async def objection(self) -> str:
        """ "" or why it does not work on this node."""

    async def pull(self, image: Image, container: Container, credentials: Sequence[RegistryCredential]) -> str:
        """What `Launch.image` is to be. Raises StartError with ErrImagePull, ErrImageNeverPull or InvalidImageName."""

    async def program(self, launch: Launch) -> Program:
        """What runs the container in the foreground and ends as it ends. Raises StartError."""

    def first_process(self, launch: Launch, pid: int) -> Optional[int]:
        """The container's own first process, where `pid` is the program's; None while there is none yet."""

    def execution(self, launch: Launch, first_process: int, command: Sequence[str]) -> Program:
        """What runs a command inside the running container."""

    def refusal(self, exit_code: int, last_words: str) -> Optional[Refusal]:
        """Whether the program ended so because the container could not be started. `last_words`: the end of its standard error."""

    async def was_out_of_memory(self, launch: Launch) -> bool:
        """Whether the runtime itself knows that the ended container was killed for its memory."""

    async def forget(self, launch: Launch) -> None:
        """Removes what the runtime keeps of an ended container."""


async def run(program: Program, timeout_seconds: Optional[float] = None, keep_bytes: int = KEPT_BYTES) -> Done:
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
        output, errors = await asyncio.wait_for(_talk(*pipes, program.stdin, keep_bytes), timeout_seconds)  # type: ignore[arg-type]
        exit_code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Done(exit_code, output, errors)


async def run_in_thread(function: Callable[[], Answer]) -> Answer:
    """For a look at a file system, which may hang."""
    return await asyncio.get_running_loop().run_in_executor(None, function)


async def _talk(
    stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader, data: bytes, keep_bytes: int
) -> tuple[bytes, bytes]:
    _, output, errors = await asyncio.gather(_tell(stdin, data), _hear(stdout, keep_bytes), _hear(stderr, keep_bytes))
    return output, errors


async def _tell(stream: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        stream.write(data)
        await stream.drain()
    stream.close()


async def _hear(stream: asyncio.StreamReader, keep_bytes: int) -> bytes:
    kept = b""
    while data := await stream.read(READ_BYTES):
        kept += data[: keep_bytes - len(kept)]
    return kept
