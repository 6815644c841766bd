"""HTCondor's Chirp, as a job speaks it to its starter: the few commands that carry a stream to the submit side.

Source: HTCondor src/condor_chirp/chirp_protocol.h and its own Python client htchirp. One request at a time; an answer is a line with a
number, negative for an error, and for some requests as many bytes as it says.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Optional

LINE_BYTES = 5120
"""CHIRP_LINE_MAX: a longer request breaks the connection."""
DOES_NOT_EXIST = -3
ESCAPED = re.compile(r"([\\ \n\t\r])")


class ChirpError(Exception):
    """The starter said no; `code` is Chirp's."""

    def __init__(self, request: str, code: int) -> None:
        super().__init__(f"chirp {request} was answered {code}")
        self.code = code


def word(text: str) -> str:
    """One argument of a request; spaces and line ends in it are escaped."""
    return ESCAPED.sub(r"\\\1", text)


class Chirp:
    """One connection, made when needed and made again after it broke. `config`: the file in which the starter says where it listens."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._reader: Optional[asyncio.StreamReader] = None
        self._writer: Optional[asyncio.StreamWriter] = None

    async def put(self, name: str, data: bytes, mode: int) -> None:
        """Writes a file of the job's spool directory. Raises ChirpError, OSError or EOFError."""
        descriptor = await self._request(f"open {word(name)} wtc {mode}")
        if self._reader is not None:
            await self._reader.readline()  # the file's stat, of no use here
        await self._request(f"write {descriptor} {len(data)}", data)
        await self._request(f"close {descriptor}")

    async def unlink(self, name: str) -> bool:
        """Removes a file of the spool directory; false if it is not there."""
        try:
            await self._request(f"unlink {word(name)}")
        except ChirpError as error:
            if error.code == DOES_NOT_EXIST:
                return False
            raise
        return True

    async def set_attribute(self, name: str, expression: str) -> None:
        """Sets an attribute of the job's ad in the queue."""
        await self._request(f"set_job_attr {word(name)} {word(expression)}")

    async def announce(self, text: str) -> None:
        """Writes a line to the job's event log, and so to that of the schedd."""
        await self._request(f"ulog {word(text)}")

    async def attribute(self, name: str) -> str:
        """An attribute's expression, as text; "" if there is none."""
        try:
            length = await self._request(f"get_job_attr {word(name)}")
        except ChirpError:
            return ""
        assert self._reader is not None
        return (await self._reader.readexactly(length)).decode(errors="replace")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _request(self, line: str, data: bytes = b"") -> int:
        try:
            if self._writer is None:
                await self._connect()
            return await self._ask(line, data)
        except (OSError, EOFError):
            self.close()
            raise

    async def _connect(self) -> None:
        host, port, cookie = self._config.read_text().split()
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        await self._ask(f"cookie {cookie}")

    async def _ask(self, line: str, data: bytes = b"") -> int:
        assert self._reader is not None
        assert self._writer is not None
        request = line.encode() + b"\n"
        if len(request) > LINE_BYTES:
            raise ValueError("a chirp request is too long")
        self._writer.write(request + data)
        await self._writer.drain()
        answer = await self._reader.readline()
        if not answer.endswith(b"\n"):
            raise EOFError("the starter closed the chirp connection")
        code = int(answer)
        if code < 0:
            raise ChirpError(line.partition(" ")[0], code)
        return code
