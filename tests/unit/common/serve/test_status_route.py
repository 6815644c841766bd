"""GET /status as ASGI messages: bodies in pieces, a client that leaves, and what is left to the app."""

from __future__ import annotations

import json

from starlette.types import Message, Receive, Scope, Send

from interlink_common.serve.calls import StatusRoute
from interlink_common.tracking.node import VirtualNode
from tests.unit.common.serve.plugin import Plugin


async def called(node: VirtualNode, *messages: Message, path: str = "/status") -> list[Message]:
    """What is sent after these received messages; the app behind answers with a message of its own."""
    waiting, sent = list(messages), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": f"app {scope['path']}"})

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await StatusRoute(app, node=node)({"type": "http", "path": path, "method": "GET"}, receive, send)
    return sent


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_in_pieces_is_one_body(plugin: Plugin) -> None:
    pod = plugin.pod(seconds=None)
    await plugin.client.create(pod)
    await plugin.client.wait_for(pod, "Running")
    body = json.dumps(pod.status_body()).encode()
    told = plugin.node.status(body)
    whole = await called(plugin.node, part(body, more=False))
    assert whole == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(told)).encode())],
        },
        {"type": "http.response.body", "body": told},
    ]
    assert await called(plugin.node, part(body[:10], more=True), part(b"", more=True), part(body[10:], more=False)) == whole


async def test_a_client_that_left_gets_no_answer(plugin: Plugin) -> None:
    assert await called(plugin.node, part(b"[", more=True), {"type": "http.disconnect"}) == []


async def test_other_paths_are_the_apps(plugin: Plugin) -> None:
    assert await called(plugin.node, path="/create") == [{"type": "app /create"}]
