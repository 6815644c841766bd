"""The four routes over a real socket: answers, error sentences, streams, limits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from interlink_common.errors import BackendUnavailable
from interlink_common.virtualkubelet.client import CallError
from interlink_common.virtualkubelet.judge import judge_sentence
from tests.unit.common.serve.plugin import Plugin, StartPlugin


async def test_a_pod_from_create_to_delete(plugin: Plugin) -> None:
    pod = plugin.pod(lines=("hello",), exit_codes=(4,))
    await plugin.client.create(pod)
    await plugin.client.wait_for(pod, "Failed")
    assert pod.container_status("main")["state"]["terminated"]["exitCode"] == 4
    assert await plugin.client.read_logs(pod, "main") == "hello\n"
    await plugin.client.delete(pod)
    while plugin.site.jobs:  # noqa: ASYNC110  no event for it
        await asyncio.sleep(0.01)


async def test_the_ping(plugin: Plugin) -> None:
    assert (await plugin.client.ping())["status"] == "ok"


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "named"),
    [
        ("POST", "/create", b"{", 400, "JSON"),
        ("POST", "/create", b"{}", 400, "pod"),
        ("POST", "/create", b"", 400, "JSON"),
        ("POST", "/create", b"\xff\xfe", 400, "JSON"),
        ("GET", "/status", b"{", 400, "status request"),
        ("GET", "/status", b'[{"metadata":{"uid":"<&>"}, "spec":{"containers":5}}]', 400, "containers"),
        ("GET", "/getLogs", b"[]", 400, "body"),
        ("GET", "/getLogs", b'{"PodUID":"x","ContainerName":"c"}', 404, "no pod x"),
        ("POST", "/delete", b'{"metadata":{}}', 400, "metadata"),
        ("GET", "/nowhere", b"", 404, "/create"),
        ("GET", "/create", b"", 405, "/create"),
        ("POST", "/status", b"[]", 405, "/status"),
    ],
)
async def test_errors_are_one_sentence(plugin: Plugin, method: str, path: str, body: bytes, code: int, named: str) -> None:
    answer = await plugin.client.send(method, path, body)
    assert (answer.status_code, answer.headers["content-type"]) == (code, "text/plain; charset=utf-8")
    judge_sentence(answer.text)
    assert named in answer.text


async def test_a_bug_is_a_500_without_a_traceback(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin.node, "status", lambda _: 1 / 0)
    answer = await plugin.client.send("GET", "/status", [])
    assert answer.status_code == 500
    judge_sentence(answer.text)
    assert "Zero" not in answer.text


async def test_a_temporary_error_tells_when_to_come_back(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_: bytes) -> bytes:
        raise BackendUnavailable("down", retry_after_seconds=7)

    monkeypatch.setattr(plugin.node, "status", down)
    answer = await plugin.client.send("GET", "/status", [])
    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "down", "7")


async def test_a_body_over_the_limit_is_413_announced_or_not(start: StartPlugin) -> None:
    async def parts() -> Any:
        for _ in range(20):
            yield b" " * 100

    async with start(max_request_bytes=1000) as plugin:
        for body in (b" " * 1001, parts()):
            answer = await plugin.client._http.request("POST", "/create", content=body)
            assert answer.status_code == 413
            judge_sentence(answer.text)
            assert "max_request_bytes" in answer.text


async def test_a_follower_gets_lines_as_they_come_and_its_end_when_we_stop(plugin: Plugin) -> None:
    pod = plugin.pod(lines=("one",), seconds=None)
    await plugin.client.create(pod)
    await plugin.client.wait_for(pod, "Running")
    stream = plugin.client.logs(pod, "main", follow=True)
    assert await anext(stream) == b"one\n"
    plugin.node.stop_streams()
    assert [chunk async for chunk in stream] == []


async def test_a_silent_log_is_answered_before_its_first_line(plugin: Plugin) -> None:
    pod = plugin.pod(seconds=None)
    await plugin.client.create(pod)
    await plugin.client.wait_for(pod, "Running")
    body = json.dumps(pod.log_body("main", Follow=True))
    async with plugin.client._http.stream("GET", "/getLogs", content=body) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")


async def test_a_reader_that_leaves_ends_the_backends_iterator(plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = asyncio.Event()

    async def endless(*_: Any) -> Any:
        try:
            while True:
                yield b"line\n"
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    pod = plugin.pod(seconds=None)
    await plugin.client.create(pod)
    monkeypatch.setattr(plugin.node.backend, "logs", endless)
    async with plugin.client._http.stream("GET", "/getLogs", content=json.dumps(pod.log_body("main", Follow=True))) as answer:
        await anext(answer.aiter_bytes())
    await closed.wait()


async def test_errors_of_logs_have_their_code(plugin: Plugin) -> None:
    pod = plugin.pod(seconds=None)
    await plugin.client.create(pod)
    for container, previous, code in (("nosuch", False, 404), ("main", True, 404)):
        with pytest.raises(CallError) as error:
            await plugin.client.read_logs(pod, container, previous=previous)
        assert error.value.code == code
    plugin.site.set_reachable(False)
    with pytest.raises(CallError) as error:
        await plugin.client.read_logs(pod, "main")
    assert error.value.code == 503


async def test_the_routes_are_documented(plugin: Plugin) -> None:
    schema = (await plugin.client._http.get("/openapi.json")).json()
    assert {path: set(methods) for path, methods in schema["paths"].items()} == {
        "/create": {"post"}, "/status": {"get"}, "/getLogs": {"get"}, "/delete": {"post"},
    }  # fmt: skip
    assert "422" not in schema["paths"]["/status"]["get"]["responses"]
