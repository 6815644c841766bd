"""The event stream of a pod on a worker node: podrunner writes it, the plugins read it. Pure.

Append-only JSON lines, so that it may be cut anywhere and read again from the start of any line. Six kinds, each with `time` in unix
nanoseconds:

    {"log": "main", "attempt": 0, "stream": "stdout", "time": ..., "text": "a line"}     "base64" in place of "text" if it is not UTF-8
    {"report": {...}, "time": ...}                      a whole PodReport, whenever it changes
    {"truncated": "main", "bytes": 1048576, "time": ...}   once: this much of the container's log was kept, the rest is dropped
    {"end": {"report": ..., "exit_code": 0, "cause": ""}, "time": ...}     the last line
    {"failed": {"reason": "...", "exit_code": 242}, "time": ...}           the last line, if the pod could not be run at all
    {"again": true, "time": ...}                        the batch system started the job again: all lines before are of an earlier run
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Union

from interlink_common.model.codec import decode as decode_object
from interlink_common.model.codec import encode as encode_object
from interlink_common.model.report import PodReport

STDOUT, STDERR = "stdout", "stderr"
LONGEST_LINE_BYTES = 8 * 2**20
"""A line of the stream longer than this is no event: nothing that podrunner writes comes near it."""


@dataclass(frozen=True)
class LogLine:
    """One line of a container's log, without its newline. `partial`: none has come yet (a long line in pieces, or the very end)."""

    container: str
    attempt: int
    stream: str
    time_ns: int
    data: bytes
    partial: bool = False

    @property
    def written(self) -> bytes:
        """What the container wrote."""
        return self.data if self.partial else self.data + b"\n"


@dataclass(frozen=True)
class ReportChanged:
    report: PodReport
    time_ns: int


@dataclass(frozen=True)
class LogTruncated:
    """The log reached its limit: of the container's log, over all its attempts, `kept_bytes` are in the stream."""

    container: str
    kept_bytes: int
    time_ns: int


@dataclass(frozen=True)
class End:
    """The summary. `exit_code` is podrunner's own; `cause` a sentence if something beside the containers ended the pod, else ""."""

    report: PodReport
    exit_code: int
    cause: str
    time_ns: int


@dataclass(frozen=True)
class Failed:
    """No container was started: no Python (start.sh says so), a damaged bundle, no container runtime. `exit_code`: see exitcodes."""

    reason: str
    exit_code: int
    time_ns: int


@dataclass(frozen=True)
class StartedAgain:
    """What follows is another run of the same job in the same directory."""

    time_ns: int


Event = Union[LogLine, ReportChanged, LogTruncated, End, Failed, StartedAgain]


def encode(event: Event) -> bytes:
    """The event's line, newline included."""
    text = json.dumps(_fields(event), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"


class Decoder:
    """Reads a stream piece by piece, from the start of any line. What is no event is skipped: a torn line, or one of a newer release."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset
        """Where the first line begins that is not yet read whole: whoever reads again starts here."""
        self._tail = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` completes. Consume it before the next call."""
        self._tail += data
        start = 0
        while (end := self._tail.find(b"\n", start)) >= 0:
            event = None if self._skipping else _event(bytes(self._tail[start:end]))
            self._skipping = False
            self.offset += end + 1 - start
            start = end + 1
            if event is not None:
                yield event
        del self._tail[:start]
        if len(self._tail) > LONGEST_LINE_BYTES:
            self.offset += len(self._tail)
            self._tail.clear()
            self._skipping = True


def _fields(event: Event) -> dict[str, Any]:
    if isinstance(event, LogLine):
        fields: dict[str, Any] = {"log": event.container, "attempt": event.attempt, "stream": event.stream, "time": event.time_ns}
        try:
            fields["text"] = event.data.decode()
        except UnicodeDecodeError:
            fields["base64"] = base64.b64encode(event.data).decode("ascii")
        return {**fields, "partial": True} if event.partial else fields
    if isinstance(event, ReportChanged):
        return {"report": encode_object(event.report, PodReport), "time": event.time_ns}
    if isinstance(event, LogTruncated):
        return {"truncated": event.container, "bytes": event.kept_bytes, "time": event.time_ns}
    if isinstance(event, StartedAgain):
        return {"again": True, "time": event.time_ns}
    if isinstance(event, Failed):
        return {"failed": {"reason": event.reason, "exit_code": event.exit_code}, "time": event.time_ns}
    report = encode_object(event.report, PodReport)
    return {"end": {"report": report, "exit_code": event.exit_code, "cause": event.cause}, "time": event.time_ns}


def _event(line: bytes) -> Union[Event, None]:
    try:
        return _read(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _read(fields: dict[str, Any]) -> Union[Event, None]:
    time_ns = decode_object(fields["time"], int)
    if "log" in fields:
        data = fields["text"].encode() if "text" in fields else base64.b64decode(fields["base64"], validate=True)
        container, attempt, stream = _typed(fields, ("log", str), ("attempt", int), ("stream", str))
        return LogLine(container, attempt, stream, time_ns, data, fields.get("partial") is True)
    if "report" in fields:
        return ReportChanged(decode_object(fields["report"], PodReport), time_ns)
    if "truncated" in fields:
        container, kept_bytes = _typed(fields, ("truncated", str), ("bytes", int))
        return LogTruncated(container, kept_bytes, time_ns)
    if "again" in fields:
        return StartedAgain(time_ns)
    if "failed" in fields:
        reason, exit_code = _typed(fields["failed"], ("reason", str), ("exit_code", int))
        return Failed(reason, exit_code, time_ns)
    end = fields["end"]
    exit_code, cause = _typed(end, ("exit_code", int), ("cause", str))
    return End(decode_object(end["report"], PodReport), exit_code, cause, time_ns)


def _typed(fields: dict[str, Any], *wanted: tuple[str, type]) -> list[Any]:
    return [decode_object(fields[name], kind) for name, kind in wanted]
