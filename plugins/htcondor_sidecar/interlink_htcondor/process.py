"""A process of `client.py` for one credential, and the calls to it. What hangs is killed and started anew.

The process holds the lock of the state directory with us. When the plugin is killed, whatever call its processes are still in goes on to
its end, a submit too; the next plugin starts when the last of them has let go, and so finds every job that there will be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from interlink_common.errors import BackendUnavailable, Refused

ANSWER_BYTES = 256 * 1024 * 1024
START_SECONDS = 30.0


class ClientProcess:
    """One call at a time; the others wait. `environment` says who we are, `lock` is a descriptor that the process
    inherits, and with it what it locks."""

    def __init__(self, name: str, arguments: tuple[str, str], environment: Mapping[str, str], lock: int | None) -> None:
        self._name = name
        self._arguments = arguments
        self._environment = dict(environment)
        self._lock = lock
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def is_busy(self) -> bool:
        return self._turn.locked()

    async def call(self, name: str, *, timeout_seconds: float, **arguments: Any) -> Any:
        """The result of that call of `client.Client`. Raises Refused, or BackendUnavailable for everything that may heal.

        Cancelled, it ends only when the answer is there: what was begun on the schedd can't be taken back.
        """
        task = asyncio.create_task(self._call(name, timeout_seconds, arguments), name=f"condor {self._name} {name}")
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if name != "events":
                await asyncio.wait({task})
                task.cancelled() or task.exception()
            task.cancel()
            raise

    async def _call(self, name: str, timeout_seconds: float, arguments: dict[str, Any]) -> Any:
        async with self._turn:
            try:
                async with asyncio.timeout(timeout_seconds):
                    answer = await self._ask({"call": name, "arguments": arguments})
            except (TimeoutError, OSError, EOFError, ValueError) as error:
                self._kill()
                what = "did not answer in time" if isinstance(error, TimeoutError) else "could not be reached"
                raise BackendUnavailable(f"the HTCondor pool {what}") from error
            except asyncio.CancelledError:
                self._kill()
                raise
        if "error" not in answer:
            return answer["result"]
        if answer["refused"]:
            raise Refused(f"HTCondor refused the job: {answer['error']}")
        raise BackendUnavailable(f"the HTCondor pool did not answer: {answer['error']}")

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the process ended")
        return dict(json.loads(line))

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "interlink_htcondor.client",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=self._environment,
                limit=ANSWER_BYTES,
                pass_fds=() if self._lock is None else (self._lock,),
                start_new_session=True,
            )
        return self._process

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """Ends the process, after the call it is in."""
        async with self._turn:
            if self._process is not None and self._process.returncode is None:
                assert self._process.stdin is not None
                self._process.stdin.close()
                try:
                    await asyncio.wait_for(self._process.wait(), START_SECONDS)
                except TimeoutError:
                    self._kill()
                    await self._process.wait()
