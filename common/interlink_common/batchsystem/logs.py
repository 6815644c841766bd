"""kubectl's log options over a pod's journal. Whoever follows a log gets each line as soon as the journal has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

from interlink_common.backend import LogQuery
from interlink_common.batchsystem.journal import Chunk, Journal
from interlink_common.errors import NotFound
from interlink_common.logselect import select
from interlink_common.podrunner.events import LogLine

Line = tuple[int, bytes]


class AttemptReader:
    """Reads one attempt of one container, from the start. Pieces of a long line are put together."""

    def __init__(self, journal: Journal, container: str, run: int, attempt: int) -> None:
        self._journal, self._container, self._run, self._attempt = journal, container, run, attempt
        self._number = self._offset = 0
        """The chunk that was read last, and how much of it."""
        self._pieces: dict[str, LogLine] = {}

    def fresh(self) -> list[Line]:
        """The lines taken since the last call."""
        found: list[Line] = []
        for chunk in self._chunks():
            offset = self._offset if chunk.number == self._number else 0
            lines, self._offset = self._journal.lines(chunk, self._container, self._attempt, offset)
            self._number = chunk.number
            for line in lines:
                found.extend(self._whole(line))
        return found

    def rest(self) -> list[Line]:
        """What has no newline yet, when nothing more comes."""
        return [(line.time_ns, line.written) for line in self._pieces.values()]

    def _chunks(self) -> list[Chunk]:
        return [chunk for chunk in self._journal.chunks if chunk.run == self._run and chunk.number >= self._number]

    def _whole(self, line: LogLine) -> Iterator[Line]:
        begun = self._pieces.pop(line.stream, None)
        if begun is not None:
            line = replace(line, data=begun.data + line.data, time_ns=begun.time_ns)
        if line.partial:
            self._pieces[line.stream] = line
        else:
            yield line.time_ns, line.written


async def read_log(
    journal: Journal, query: LogQuery, *, waiting: bool, ended: Callable[[int, int], bool], news: Callable[[], asyncio.Event]
) -> AsyncIterator[bytes]:
    """The log as `query` asks for it. `ended(run, attempt)`: nothing more comes of it; `news()` is set when the journal grows.

    `waiting`: the container is between two attempts, so that the newest is its lastState, which is what `previous` means.
    Raises NotFound if the container has not started, or has no such attempt.
    """
    attempts = journal.attempts(query.container)
    position = -2 if query.previous and not waiting else -1
    if len(attempts) < -position:
        which = "previous terminated container" if query.previous else "container"
        raise NotFound(f"{which} {query.container} in the pod is not found, or has not started yet")
    reader = AttemptReader(journal, query.container, *attempts[position])
    query = replace(query, follow=query.follow and not ended(*attempts[position]))
    old: list[Line] = []
    if query.follow and query.tail_lines is not None:
        lines_so_far = await asyncio.to_thread(reader.fresh)
        old = lines_so_far[len(lines_so_far) - min(query.tail_lines, len(lines_so_far)) :]
        query = replace(query, tail_lines=None)

    async def lines() -> AsyncIterator[Line]:
        for line in old:
            yield line
        while True:
            is_over = not query.follow or ended(*attempts[position])
            event = news()
            for line in await asyncio.to_thread(reader.fresh):
                yield line
            if is_over:
                for line in reader.rest():
                    yield line
                return
            await event.wait()

    async for text in select(lines(), query):
        yield text
