"""kubectl's log options, each as v1.PodLogOptions words it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from interlink_common.backend import LogQuery
from interlink_common.logselect import rfc3339_nano, select

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
