"""Probe actions against real servers on this machine: minimal HTTP and TLS ones, and grpcio's own health service."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # nor does this
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.agent import grpc_health
from interlink_common.agent.http_get import get_status
from interlink_common.agent.performing import LIFECYCLE_AGENT, PROBE_AGENT, HandlerResult, run_handler
from interlink_common.model.workload import GrpcAction, HttpAction, ProbeAction, SleepAction, TcpAction
from interlink_common.testing.fake_runtime import FakeRuntime
from interlink_common.testing.lifecycle_cases import pod

POD = pod("p")
Answer = Callable[[str], bytes]


@asynccontextmanager
async def serving(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[str]]]:
    """A server's port and the requests it got; `answer` makes the reply from the request's path."""
    requests: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            requests.append(request)
            writer.write(answer(request.split()[1]))
            await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        server.close()
        await server.wait_closed()


def reply(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *headers, "Content-Length: 0", "", ""]).encode()


async def ask(action: ProbeAction, timeout_seconds: float = 20, user_agent: str = PROBE_AGENT) -> HandlerResult:
    return await run_handler(FakeRuntime(), POD, "main", 0, action, timeout_seconds=timeout_seconds, user_agent=user_agent)


@pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (204, True), (304, True), (399, True), (400, False), (503, False)])
async def test_http_status(status: int, ok: bool) -> None:
    async with serving(lambda path: reply(status)) as (port, _):
        words = "" if ok else f"HTTP probe failed with statuscode: {status}"
        assert await ask(HttpAction(port)) == HandlerResult(ok, words)
        assert await ask(HttpAction(port), user_agent=LIFECYCLE_AGENT) == HandlerResult(True)


async def test_http_request_is_the_kubelets() -> None:
    async with serving(lambda path: reply(200)) as (port, requests):
        await ask(HttpAction(port, "a b?x=1&y=é#part", headers=(("X-Two", "1"), ("X-Two", "2"), ("Host", "my.host"))))
    assert requests == [
        "GET /a%20b?x=1&y=%C3%A9 HTTP/1.1\r\nUser-Agent: kube-probe/1.35\r\nAccept: */*\r\nConnection: close\r\n"
        "X-Two: 1\r\nX-Two: 2\r\nHost: my.host\r\n\r\n"
    ]


async def test_redirects_on_the_same_host_are_followed() -> None:
    def answer(path: str) -> bytes:
        return reply(500) if path == "/end?x=1" else reply(302, "Location: /end?x=1")

    async with serving(answer) as (port, requests):
        assert await get_status(HttpAction(port, "/start"), "127.0.0.1", PROBE_AGENT) == 500
    assert [request.split()[1] for request in requests] == ["/start", "/end?x=1"]


async def test_a_redirect_to_another_host_is_a_success_and_not_followed() -> None:
    async with serving(lambda path: reply(302, "Location: http://192.0.2.1/")) as (port, requests):
        assert await ask(HttpAction(port)) == HandlerResult(True)
    assert len(requests) == 1


async def test_a_redirect_loop_fails() -> None:
    async with serving(lambda path: reply(301, "Location: /again")) as (port, requests):
        assert await ask(HttpAction(port)) == HandlerResult(False, "stopped after 10 redirects")
    assert len(requests) == 10


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, b"HTTP/1.1 2000 OK\r\n\r\n"])
async def test_an_answer_that_is_none_fails(answer: bytes) -> None:
    async with serving(lambda path: answer) as (port, _):
        verdict = await ask(HttpAction(port))
    assert not verdict.ok
    assert verdict.message


async def test_a_header_can_not_smuggle_a_second_request() -> None:
    async with serving(lambda path: reply(200)) as (port, requests):
        assert not (await ask(HttpAction(port, headers=(("X", "1\r\n\r\nGET /evil HTTP/1.1"),)))).ok
        assert (await ask(HttpAction(port, "/a\r\nX: 1"))).ok
    assert [request.split()[1] for request in requests] == ["/a%0D%0AX:%201"]


async def test_https_is_not_verified(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    process = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=nobody"),
        *("-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")),
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await process.wait() == 0
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    async with serving(lambda path: reply(200), context) as (port, _):
        assert await ask(HttpAction(port, scheme="HTTPS")) == HandlerResult(True)


async def test_a_server_that_hangs_times_out() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for action in (HttpAction(port), GrpcAction(port)):
            assert await ask(action, timeout_seconds=0.2) == HandlerResult(False, "timed out after 0.2 s")


async def test_tcp() -> None:
    async with serving(lambda path: b"") as (port, _):
        assert await ask(TcpAction(port)) == HandlerResult(True)
    assert not (await ask(TcpAction(port))).ok


async def test_sleep() -> None:
    assert await run_handler(FakeRuntime(), POD, "main", 0, SleepAction(0), timeout_seconds=5, user_agent=LIFECYCLE_AGENT) == HandlerResult(
        True
    )


@pytest.fixture
async def grpc_port() -> AsyncIterator[int]:
    """The port of grpcio's health service: "" and "up" serve, "down" does not, others are unknown."""
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await servicer.set("up", health_pb2.HealthCheckResponse.SERVING)
    await servicer.set("down", health_pb2.HealthCheckResponse.NOT_SERVING)
    await servicer.set("x" * 300, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    yield port
    await server.stop(None)


@pytest.mark.parametrize(("service", "ok"), [("", True), ("up", True), ("x" * 300, True), ("down", False), ("unknown", False)])
async def test_grpc(grpc_port: int, service: str, ok: bool) -> None:
    assert (await ask(GrpcAction(grpc_port, service))).ok is ok


async def test_grpc_port_that_speaks_http_1() -> None:
    async with serving(lambda path: reply(200)) as (port, _):
        assert not (await ask(GrpcAction(port))).ok


@given(st.binary(max_size=60))
def test_any_health_answer_is_a_name_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert grpc_health.status_of(data)
