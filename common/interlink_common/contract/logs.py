"""The body of GET /getLogs. A zero value means "not set", because Go has no other way to say it here."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from interlink_common.backend import LogQuery
from interlink_common.contract.answers import sentence
from interlink_common.contract.bodies import decode_json, validate
from interlink_common.contract.wire import Uid, Wire
from interlink_common.errors import BadRequest
from interlink_common.logselect import unix_nanoseconds

_NANO = 10**9
_MAX_SECONDS = 10**10


class LogOptions(Wire):
    model_config = ConfigDict(alias_generator=None)

    tail: int | None = Field(None, alias="Tail")
    limit_bytes: int | None = Field(None, alias="Bytes")
    timestamps: bool | None = Field(None, alias="Timestamps")
    follow: bool | None = Field(None, alias="Follow")
    previous: bool | None = Field(None, alias="Previous")
    since_seconds: int | None = Field(None, alias="SinceSeconds")
    since_time: str | None = Field(None, alias="SinceTime")


class LogsRequest(Wire):
    model_config = ConfigDict(alias_generator=None)

    namespace: str | None = Field(None, alias="Namespace")
    pod_uid: Uid = Field(alias="PodUID")
    pod_name: str | None = Field(None, alias="PodName")
    container_name: str = Field(alias="ContainerName")
    options: LogOptions | None = Field(None, alias="Opts")

    def to_query(self, now: float) -> LogQuery:
        """The options that are set. `now` is unix seconds, from which SinceSeconds counts back; SinceTime is the exact other way.

        Raises BadRequest for negative numbers and for a time that is none.
        """
        options = self.options or LogOptions()
        since_seconds = _count(options.since_seconds, "SinceSeconds")
        since_ns = _unix_nanoseconds(options.since_time) if options.since_time else None
        if since_seconds:
            since_ns = int(now * _NANO) - min(since_seconds, _MAX_SECONDS) * _NANO
        return LogQuery(
            container=self.container_name,
            follow=bool(options.follow),
            previous=bool(options.previous),
            timestamps=bool(options.timestamps),
            since_ns=since_ns,
            tail_lines=_count(options.tail, "Tail"),
            limit_bytes=_count(options.limit_bytes, "Bytes"),
        )


def parse_logs(body: bytes) -> LogsRequest:
    """The body of GET /getLogs. Raises BadRequest naming the field."""
    return validate(LogsRequest, decode_json(body), "")


def _count(value: int | None, name: str) -> int | None:
    if value is not None and value < 0:
        raise BadRequest(sentence(f"Opts.{name} must not be negative."))
    return value or None


def _unix_nanoseconds(text: str) -> int | None:
    """None for Go's zero time, 0001-01-01T00:00:00Z, and for anything before 1970. Raises BadRequest."""
    try:
        found = unix_nanoseconds(text)
    except (ValueError, OverflowError):
        raise BadRequest("Opts.SinceTime must be a time such as 2026-01-31T12:00:00Z.") from None
    return found if found >= 0 else None
