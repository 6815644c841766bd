from __future__ import annotations

import json
from typing import Any

import pytest

from interlink_common.backend import LogQuery
from interlink_common.contract.logs import parse_logs
from interlink_common.errors import BadRequest

NOW = 1_800_000_000.5
SECOND = 10**9


def body(**options: Any) -> bytes:
    return json.dumps({"PodUID": "u", "ContainerName": "c0", "Opts": options}).encode()


@pytest.mark.parametrize(
    ("number", "query"),
    [
        ("13", LogQuery("c0", follow=True)),
        ("14", LogQuery("c0", since_ns=1_795_237_200 * SECOND)),
        ("15", LogQuery("c0", timestamps=True, tail_lines=2)),
    ],
)
def test_recorded_requests(wire: dict[str, Any], number: str, query: LogQuery) -> None:
    request = parse_logs(json.dumps(wire[number]["body"]).encode())
    assert request.to_query(NOW) == query
    assert request.model_dump(by_alias=True, exclude_unset=True) == wire[number]["body"]


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, LogQuery("c0")),
        ({"Tail": None, "SinceTime": None}, LogQuery("c0")),
        ({"Tail": 0, "Bytes": 0, "SinceSeconds": 0, "SinceTime": "0001-01-01T00:00:00Z"}, LogQuery("c0")),
        ({"Bytes": 10, "Previous": True}, LogQuery("c0", limit_bytes=10, previous=True)),
        ({"SinceSeconds": 60}, LogQuery("c0", since_ns=1_799_999_940 * SECOND + SECOND // 2)),
        ({"SinceTime": "2026-11-21T07:00:00.000000001+02:00"}, LogQuery("c0", since_ns=1_795_237_200 * SECOND + 1)),
        ({"SinceTime": "1970-01-01T00:00:00.5Z"}, LogQuery("c0", since_ns=SECOND // 2)),
    ],
)
def test_options(options: dict[str, Any], query: LogQuery) -> None:
    assert parse_logs(body(**options)).to_query(NOW) == query


def test_options_may_be_missing() -> None:
    assert parse_logs(b'{"PodUID": "u", "ContainerName": "c0"}').to_query(NOW) == LogQuery("c0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"Tail": -1}, "Opts.Tail must not be negative."),
        ({"SinceSeconds": -5}, "Opts.SinceSeconds must not be negative."),
        ({"SinceTime": "yesterday"}, "Opts.SinceTime must be a time such as 2026-01-31T12:00:00Z."),
        ({"SinceTime": "2026-13-01T00:00:00Z"}, "Opts.SinceTime must be a time such as 2026-01-31T12:00:00Z."),
        ({"SinceTime": "2026-01-01T00:00:00+99:00"}, "Opts.SinceTime must be a time such as 2026-01-31T12:00:00Z."),
        ({"Follow": 1}, "Opts.Follow must be true or false."),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_logs(body(**options)).to_query(NOW)
    assert str(caught.value) == message


def test_a_pod_uid_is_a_safe_path_component() -> None:
    with pytest.raises(BadRequest, match=r"^PodUID must be 1 to 64 letters"):
        parse_logs(b'{"PodUID": "../x", "ContainerName": "c"}')
