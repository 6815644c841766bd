"""kubectl's log options, each as v1.PodLogOptions words it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.backend import LogQuery
from interlink_common.logselect import rfc3339_nano, select, unix_nanoseconds

SECOND = 10**9
LINES = [(0, b"a\n"), (1 * SECOND, b"bb\n"), (2 * SECOND + 5, b"ccc\n"), (3 * SECOND, b"\n")]


async def selected(**options: Any) -> bytes:
    async def lines() -> AsyncIterator[tuple[int, bytes]]:
        for line in LINES:
            yield line

    return b"".join([chunk async for chunk in select(lines(), LogQuery("c", **options))])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, b"a\nbb\nccc\n\n"),
        ({"since_ns": SECOND}, b"bb\nccc\n\n"),
        ({"since_ns": SECOND + 1}, b"ccc\n\n"),
        ({"tail_lines": 2}, b"ccc\n\n"),
        ({"tail_lines": 0}, b""),
        ({"tail_lines": 9}, b"a\nbb\nccc\n\n"),
        ({"limit_bytes": 4}, b"a\nbb"),
        ({"limit_bytes": 0}, b""),
        ({"tail_lines": 2, "limit_bytes": 3}, b"ccc"),
        ({"since_ns": 2 * SECOND, "timestamps": True}, b"1970-01-01T00:00:02.000000005Z ccc\n1970-01-01T00:00:03.000000000Z \n"),
        ({"timestamps": True, "limit_bytes": 33}, b"1970-01-01T00:00:00.000000000Z a\n"),
        ({"since_ns": SECOND, "tail_lines": 3, "limit_bytes": 5}, b"bb\ncc"),
    ],
)
async def test_options(options: dict[str, Any], expected: bytes) -> None:
    assert await selected(**options) == expected


def test_times_are_utc_with_nine_digits() -> None:
    assert rfc3339_nano(1_795_246_245 * SECOND + 120) == "2026-11-21T07:30:45.000000120Z"


@given(st.integers(0, 4 * 10**18))
def test_a_time_is_read_back(time_ns: int) -> None:
    assert unix_nanoseconds(rfc3339_nano(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1970-01-01T01:00:00.5+01:00", 5 * 10**8),
        ("1970-01-01T00:00:01.0000000019Z", 10**9 + 1),
        ("0001-01-01T00:00:00Z", -62135596800 * 10**9),
    ],
)
def test_times_in_other_words(text: str, time_ns: int) -> None:
    assert unix_nanoseconds(text) == time_ns


@pytest.mark.parametrize("text", ["", "1970-01-01", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00.Z"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        unix_nanoseconds(text)
