"""A grain of `sh`, enough for the commands of the lifecycle cases, so that one pod description runs on fake and real runtimes.

Grammar: statements separated by `;`, each a chain of commands with `&&` and `||`. Commands: true, false, exit N, sleep S,
`sleep S & wait` (interrupted by TERM), trap 'exit N' TERM, touch FILE, rm FILE, test -e FILE, echo WORDS [> or >> FILE], and `oom`, which
only a fake knows: the container is killed for its memory. As for a real process 1, TERM without a trap is ignored.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Sequence

TERMINATION_LOG = "/dev/termination-log"


class ShellExit(Exception):  # noqa: N818  the way out of nested statements, not an error
    def __init__(self, exit_code: int, *, oom_killed: bool = False) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
        self.oom_killed = oom_killed


class FakeShell:
    """Runs one command line over `files`, a mapping of path to content that other shells may share."""

    def __init__(self, files: dict[str, str]) -> None:
        self._files = files
        self._term_code: int | None = None
        self.terminated = asyncio.Event()
        self.output = ""
        self.message = ""
        """What was written to /dev/termination-log."""

    async def run(self, command: Sequence[str]) -> ShellExit:
        """How the command ends; a command that is not `sh -c TEXT` is one plain command."""
        text = command[2] if tuple(command[:2]) == ("sh", "-c") else shlex.join(command)
        try:
            code = 0
            for statement in text.split(";"):
                code = await self._chain(statement.strip())
            return ShellExit(code)
        except ShellExit as end:
            return end

    async def _chain(self, statement: str) -> int:
        code, wanted = 0, True
        for part in re.split(r"(&&|\|\|)", statement):
            if part in ("&&", "||"):
                wanted = (code == 0) == (part == "&&")
            elif wanted and part.strip():
                code = await self._command(part.strip())
        return code

    async def _command(self, text: str) -> int:
        words = shlex.split(text)
        name, arguments = words[0], words[1:]
        if name in ("true", "false"):
            return 0 if name == "true" else 1
        if name == "exit":
            raise ShellExit(int(arguments[0]))
        if name == "oom":
            raise ShellExit(137, oom_killed=True)
        if name == "sleep":
            await self._sleep(float(arguments[0]), interruptible=arguments[1:] == ["&", "wait"])
        elif name == "trap":
            self._term_code = int(arguments[0].removeprefix("exit "))
        elif name == "test":
            return 0 if arguments[1] in self._files else 1
        elif name in ("touch", "rm"):
            self._files.setdefault(arguments[0], "")
            if name == "rm":
                del self._files[arguments[0]]
        elif name == "echo":
            self._echo(arguments)
        else:
            raise ShellExit(127)
        return 0

    async def _sleep(self, seconds: float, *, interruptible: bool) -> None:
        if not interruptible or self._term_code is None:
            await asyncio.sleep(seconds)
        else:
            try:
                await asyncio.wait_for(self.terminated.wait(), seconds)
            except TimeoutError:
                return
        if self._term_code is not None and self.terminated.is_set():
            raise ShellExit(self._term_code)

    def _echo(self, words: list[str]) -> None:
        if words[-2:] == [">", TERMINATION_LOG]:
            self.message = " ".join(words[:-2])
        elif len(words) >= 2 and words[-2] in (">", ">>"):
            before = self._files.get(words[-1], "") if words[-2] == ">>" else ""
            self._files[words[-1]] = f"{before}{' '.join(words[:-2])}\n"
        else:
            self.output += " ".join(words) + "\n"
