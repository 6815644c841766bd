"""Slurm's programs, started with lists of arguments: no shell reads what stands in them."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress

from interlink_common.errors import BackendUnavailable, Refused
from interlink_slurm.settings import SlurmSettings
from interlink_slurm.states import FORMAT, JOB_NAME_PREFIX, SlurmJob, parse

PASSING = ("authentication", "connection", "contact", "munge", "standby", "temporarily", "timed out", "transmitted")
"""Words of sbatch's errors after which the job may be there all the same, or may be accepted later."""


class Slurm:
    """Every call raises BackendUnavailable while Slurm does not answer."""

    def __init__(self, settings: SlurmSettings) -> None:
        self._settings = settings

    async def submit(self, arguments: Sequence[str]) -> str:
        """The number of the new job. Raises Refused with sbatch's words."""
        answer = await self._run("sbatch", "--parsable", *arguments)
        return answer.strip().partition(";")[0]  # the name of the cluster may follow

    async def jobs(self) -> list[SlurmJob]:
        """All of this plugin. Slurm shows a job for some minutes after its end (MinJobAge)."""
        return parse(await self._run("squeue", "--me", "--noheader", "--states=all", f"--format={FORMAT}"), self._settings.instance)

    async def cancel(self, jid: str) -> None:
        """Sends SIGTERM to a job, and SIGKILL after Slurm's KillWait. A job that has ended, or that Slurm does not know, is no error."""
        number, _, uid = jid.partition("/")
        await self._run("scancel", f"--name={JOB_NAME_PREFIX}{uid}", number)

    async def version(self) -> str:
        """What Slurm calls itself, if its controller answers."""
        await self._run("scontrol", "ping")
        return (await self._run("sbatch", "--version")).strip()

    async def _run(self, program: str, *arguments: str) -> str:
        words = (*self._settings.command_prefix, program, *arguments)
        try:
            # A process group of its own, so that what the prefix has started can be killed too.
            process = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True)
        except OSError as error:
            raise BackendUnavailable(f"{words[0]} cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(self._settings.call_timeout_seconds):
                output, errors = await process.communicate()
        except TimeoutError:
            raise BackendUnavailable(f"{program} did not end within {self._settings.call_timeout_seconds:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode == 0:
            return output.decode(errors="replace")
        why = " ".join(errors.decode(errors="replace").split()) or f"it ended with {process.returncode}"
        if program == "sbatch" and not any(word in why.lower() for word in PASSING):
            raise Refused(f"Slurm does not accept the job: {why}")
        raise BackendUnavailable(f"{program} failed: {why}")
