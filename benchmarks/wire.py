"""A raw HTTP/1.1 keep-alive client on a unix socket: what is measured is the server, not a client library."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from pathlib import Path


class RawClient:
    """One connection; sends prebuilt bytes, reads one answer with Content-Length."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._rest = b""

    def call(self, request: bytes) -> bytes:
        """The answer's body. Raises RuntimeError when the answer is not a 200."""
        self._socket.sendall(request)
        data = self._rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._receive()
        head = data[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"not a 200: {data[:400]!r}")
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        total = end + 4 + length
        while len(data) < total:
            data += self._receive()
        self._rest = data[total:]
        return data[end + 4 : total]

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> bytes:
        chunk = self._socket.recv(1 << 20)
        if not chunk:
            raise RuntimeError("the server closed the connection")
        return chunk


def http_request(method: str, path: str, body: bytes) -> bytes:
    """The bytes interLink's Go client sends."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: unix\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {len(body)}\r\n"
        "Content-Type: application/json\r\nInterlink-Http-Session: GetStatus#1\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    return head.encode() + body


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50_ms": round(cuts[49] * 1e3, 4), "p99_ms": round(cuts[98] * 1e3, 4)}


async def sample_lag(lags: list[float]) -> None:
    """Adds, for ever, how much later than asked a 5 ms timer fires: what any other request would have waited for the event loop."""
    while True:
        begin = time.perf_counter()
        await asyncio.sleep(0.005)
        lags.append(time.perf_counter() - begin - 0.005)


def lag_of(lags: list[float]) -> dict[str, float]:
    """p50, p99 and the longest, in milliseconds."""
    return {**percentiles(lags), "max_ms": round(max(lags) * 1e3, 1)}


def interleaved(clients: dict[str, tuple[RawClient, list[bytes]]], rounds: int, warmup: int = 500) -> dict[str, dict[str, float]]:
    """Latency of each client, one call of each in turn, so that the machine's drift meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in clients}
    for index in range(rounds + warmup):
        for name, (client, requests) in clients.items():
            request = requests[index % len(requests)]
            begin = time.perf_counter()
            client.call(request)
            if index >= warmup:
                seconds[name].append(time.perf_counter() - begin)
    return {name: percentiles(values) for name, values in seconds.items()}
