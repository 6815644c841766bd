"""One attempt of a container: its program, its two pipes, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Optional

from interlink_common.agent.runtime import AttemptStatus, StartError
from interlink_common.lifecycle.interface import EXITED, RUNNING
from interlink_common.podrunner import processes
from interlink_common.podrunner.cgroups import Cgroups, Group
from interlink_common.podrunner.container_runtime import ContainerRuntime, Launch, Program
from interlink_common.podrunner.events import STDERR, STDOUT
from interlink_common.podrunner.logs import PodLog, Tail

TERMINATION_MESSAGE_BYTES = 4096
"""Kubernetes: "Customizing the termination message"."""
LAST_LINES_SECONDS = 5.0
"""How long podrunner waits for the end of the log where it becomes the termination message."""
FIRST_PROCESS_SECONDS = 30.0
POLL_SECONDS = 0.02


class Attempt:
    """`status` is what the runtime reports to the agent."""

    def __init__(
        self, launch: Launch, container_runtime: ContainerRuntime, status: AttemptStatus, message_file: Path, cgroups: Cgroups
    ) -> None:
        self.launch = launch
        self.status = status
        self.ended = asyncio.Event()
        self.pumps: list[asyncio.Task[None]] = []
        self._container_runtime = container_runtime
        self._message_file = message_file
        self._cgroups = cgroups
        self._group: Optional[Group] = None
        self._process: Optional[asyncio.subprocess.Process] = None
        self._killed = False
        self._errors, self._tail = Tail(), Tail()
        self._waiter: Optional[asyncio.Task[None]] = None

    async def start(self, program: Program, log: PodLog, on_end: Callable[[], None]) -> None:
        """Starts the program. Raises StartError with RunContainerError."""
        limits = self.launch.container.limits
        self._group = None if self._container_runtime.enforces_limits else self._cgroups.make(self.launch.name, limits)
        oom_kills_before = self._oom_kills()
        pipes = {STDOUT: os.pipe(), STDERR: os.pipe()}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *program.arguments,
                env=dict(program.environment),
                cwd=program.directory,
                stdin=asyncio.subprocess.PIPE if program.stdin else asyncio.subprocess.DEVNULL,
                stdout=pipes[STDOUT][1],
                stderr=pipes[STDERR][1],
                start_new_session=True,
            )
        except OSError as error:
            for reading, _ in pipes.values():
                os.close(reading)
            raise StartError("RunContainerError", f"{program.arguments[0]} cannot be started: {error.strerror}") from error
        finally:
            for _, writing in pipes.values():
                os.close(writing)
        if self._group is not None:
            self._group.enter(self._process.pid)
        self.status = replace(self.status, state=RUNNING, started_at=time.time())
        for stream, (reading, _) in pipes.items():
            os.set_blocking(reading, False)
            tails = self._errors if stream == STDERR else self._tail
            pump = log.pump(reading, self.status.container, self.status.attempt, stream, tails)
            self.pumps.append(asyncio.create_task(pump, name=f"log of {self.launch.name} {stream}"))
        self._waiter = asyncio.create_task(self._wait(oom_kills_before, on_end), name=f"end of {self.launch.name}")
        if program.stdin and self._process.stdin is not None:
            self._process.stdin.write(program.stdin)
            with contextlib.suppress(ConnectionError):
                await self._process.stdin.drain()
            self._process.stdin.close()

    @property
    def pid(self) -> int:
        """Of the program, which leads a session. Only after `start`."""
        assert self._process is not None
        return self._process.pid

    async def first_process(self) -> Optional[int]:
        """The container's own first process, as soon as there is one; None if there never will be."""
        for _ in range(int(FIRST_PROCESS_SECONDS / POLL_SECONDS)):
            if self.ended.is_set():
                return None
            found = self._container_runtime.first_process(self.launch, self.pid)
            if found is not None:
                return found
            await asyncio.sleep(POLL_SECONDS)
        return None

    async def signal(self, number: int) -> None:
        """Sends the signal to the container's first process, as soon as there is one."""
        target = await self.first_process()
        if target is not None and not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(target, number)

    async def kill(self) -> None:
        """Kills every process of the attempt at once."""
        if not self.ended.is_set():
            self._killed = True
            processes.kill_all(self.pid)
            await self._container_runtime.remove_container(self.launch)

    async def remove(self) -> None:
        """Kills it if it runs, and removes what is kept of it. Its log may still be on its way."""
        await self.kill()
        if self._waiter is not None:
            await asyncio.wait({self._waiter})
        await self._container_runtime.remove_container(self.launch)

    async def _wait(self, oom_kills_before: int, on_end: Callable[[], None]) -> None:
        assert self._process is not None
        code = await self._process.wait()
        finished_at = time.time()
        processes.kill_all(self.pid)
        exit_code = code if code >= 0 else 128 - code
        status = replace(self.status, state=EXITED, finished_at=finished_at, exit_code=exit_code)
        refusal = self._container_runtime.start_failure(exit_code, await self._stderr_end()) if exit_code else None
        if refusal is not None:
            status = replace(status, exit_code=refusal.exit_code, reason="ContainerCannotRun", message=refusal.message)
        else:
            out_of_memory = exit_code == 137 and not self._killed and await self._was_oom_killed(oom_kills_before)
            status = replace(status, message=await self._message(exit_code), oom_killed=out_of_memory)
        self.status = status
        if self._group is not None:
            self._group.remove()
        self.ended.set()
        on_end()

    async def _was_oom_killed(self, oom_kills_before: int) -> bool:
        return self._oom_kills() > oom_kills_before or await self._container_runtime.was_oom_killed(self.launch)

    def _oom_kills(self) -> int:
        return self._cgroups.oom_kills() + (self._group.oom_kills() if self._group is not None else 0)

    async def _message(self, exit_code: int) -> str:
        try:
            with self._message_file.open("rb") as file:
                written = file.read(TERMINATION_MESSAGE_BYTES)
        except OSError:
            written = b""
        if not written and exit_code and self.launch.container.termination_message_fallback:
            return await self._stderr_end() + self._tail.text
        return written.decode(errors="replace")

    async def _stderr_end(self) -> str:
        """The end of standard error, when all of it is read; a sink without room is not waited for."""
        await asyncio.wait(self.pumps, timeout=LAST_LINES_SECONDS)
        return self._errors.text
