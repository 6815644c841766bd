"""Enough of HTCondor's Chirp server, as a starter runs it beside a job, to test what speaks to it: files and attributes in memory."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

COOKIE = "a-cookie"
NOT_FOUND, INVALID = -3, -8
ESCAPE = re.compile(r"\\(.)")


class FakeChirp:
    """`files` is the job's spool directory, `attributes` its ad. `refuses`: how many of the next requests break the connection."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.attributes: dict[str, str] = {}
        self.announced: list[str] = []
        self.refuses = 0
        self._server: asyncio.Server | None = None

    async def start(self, config: Path) -> None:
        """Listens, and writes where into the file that a job reads."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1")
        host, port = self._server.sockets[0].getsockname()
        await asyncio.to_thread(config.write_text, f"{host} {port} {COOKIE}\n")

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_files: list[str] = []
        try:
            while line := await reader.readline():
                name, *words = [ESCAPE.sub(r"\1", word) for word in re.findall(r"(?:\\.|[^ \n\\])+", line.decode(), re.DOTALL)]
                if self.refuses and name != "cookie":
                    self.refuses -= 1
                    break
                data = await reader.readexactly(int(words[1])) if name == "write" else b""
                writer.write(self._answer(name, words, data, open_files))
                await writer.drain()
        finally:
            writer.close()

    def _answer(self, name: str, words: list[str], data: bytes, open_files: list[str]) -> bytes:
        answer = 0
        if name == "cookie":
            answer = 0 if words == [COOKIE] else -1
        elif name == "open":
            self.files[words[0]] = b""
            open_files.append(words[0])
            return f"{len(open_files) - 1}\n0 0 0\n".encode()
        elif name == "write":
            self.files[open_files[int(words[0])]] += data
            answer = len(data)
        elif name == "unlink":
            answer = 0 if self.files.pop(words[0], None) is not None else NOT_FOUND
        elif name == "set_job_attr":
            self.attributes[words[0]] = words[1]
        elif name == "get_job_attr":
            value = self.attributes.get(words[0], "UNDEFINED")
            return f"{len(value)}\n{value}".encode()
        elif name == "ulog":
            self.announced.append(words[0])
        elif name != "close":
            answer = INVALID
        return f"{answer}\n".encode()
