"""grpc.health.v1.Health/Check over cleartext HTTP/2, in the standard library: one request on one connection.

Headers are sent as literals without indexing or Huffman coding and the answer's headers are not read at all: the status that
matters is in the message, and an answer without message is a failure whatever its trailers say.
Sources: RFC 9113 (frames), RFC 7541 section 6.2.2 (literals), gRPC over HTTP2 (length-prefixed messages), health.proto.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator

SERVING = "SERVING"
STATUSES = {0: "UNKNOWN", 1: SERVING, 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, PADDED, ACK = 0x1, 0x4, 0x8, 0x1
STREAM = 1
FRAME_BYTES = 16384
"""The largest frame a peer may send us: we never raise SETTINGS_MAX_FRAME_SIZE."""
FRAMES = 1000
"""More than any answer has; a peer that only sends frames is not an answer."""


async def check(host: str, port: int, service: str) -> str:
    """The name of the service's status. Raises OSError, EOFError or ValueError; no time limit of its own."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(PREFACE + _frame(SETTINGS, 0, 0, b"") + request(f"{host}:{port}", service))
        await writer.drain()
        return status_of(await _message(reader, writer))
    finally:
        writer.close()


def request(authority: str, service: str) -> bytes:
    """HEADERS and DATA frames of the call."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Check",
        ":authority": authority,
        "content-type": "application/grpc",
        "te": "trailers",
        "user-agent": "kube-probe/1.35",
    }
    block = b"".join(b"\x00" + _string(name) + _string(value) for name, value in headers.items())
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    data = b"\x00" + struct.pack(">I", len(message)) + message
    return _frame(HEADERS, END_HEADERS, STREAM, block) + _frame(DATA, END_STREAM, STREAM, data)


def status_of(data: bytes) -> str:
    """The status in a length-prefixed HealthCheckResponse. Raises ValueError."""
    if len(data) < 5:
        raise ValueError("the gRPC server gave no health status: it does not know the service or has no health checking")
    compressed, length = struct.unpack(">BI", data[:5])
    if compressed or len(data) < 5 + length:
        raise ValueError("the gRPC server gave a compressed or truncated health status")
    fields = dict(_varint_fields(data[5 : 5 + length]))
    return STATUSES.get(fields.get(1, 0), f"status {fields.get(1, 0)}")


async def _message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    data = b""
    for _ in range(FRAMES):
        head = await reader.readexactly(9)
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big") & 0x7FFFFFFF
        if length > FRAME_BYTES:
            raise ValueError("the server does not speak HTTP/2 as it should: a frame is too large")
        payload = await reader.readexactly(length)
        if kind in (SETTINGS, PING) and not flags & ACK:
            writer.write(_frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind in (GOAWAY, RST_STREAM):
            raise ValueError("the gRPC server ended the call")
        elif kind == DATA and stream == STREAM:
            data += payload[1 : len(payload) - payload[0]] if flags & PADDED and payload else payload
        if kind in (DATA, HEADERS) and stream == STREAM and flags & END_STREAM:
            return data
        if len(data) > FRAME_BYTES:
            break
    raise ValueError("the gRPC server gave no end of its answer")


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _string(text: str) -> bytes:
    """An HPACK string literal, not Huffman coded (RFC 7541, 5.2)."""
    raw = text.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    return b"\x7f" + _varint(len(raw) - 127) + raw


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def _varint_fields(message: bytes) -> Iterator[tuple[int, int]]:
    """Field numbers and values of the varint fields; others are skipped. Raises ValueError."""
    position = 0

    def varint() -> int:
        nonlocal position
        number = shift = 0
        while True:
            if position >= len(message) or shift > 63:
                raise ValueError("the gRPC server gave a malformed health status")
            byte = message[position]
            number |= (byte & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if byte < 128:
                return number

    while position < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
        elif kind in (1, 5):
            position += 8 if kind == 1 else 4
        elif kind == 2:
            position += varint()
        else:
            raise ValueError("the gRPC server gave a malformed health status")
