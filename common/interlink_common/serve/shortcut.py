"""GET /status past FastAPI's routing, which costs more than the answer itself: interLink asks for every pod, every few seconds.

For the same reason request and response are plain ASGI messages here.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from interlink_common.serve.errors import error_response
from interlink_common.tracking.node import VirtualNode

_JSON = (b"content-type", b"application/json")


class StatusShortcut:
    """Answers GET /status and hands everything else on; the app's own route of that path is left to document the call."""

    def __init__(self, app: ASGIApp, *, node: VirtualNode) -> None:
        self._app = app
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/status" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        try:
            body = await _whole(receive)
            if body is None:
                return
            answer = self._node.status(body)
        except Exception as error:  # noqa: BLE001  as in SentenceRoute: whatever it is, the client gets a sentence
            await error_response(error)(scope, receive, send)
            return
        headers = [_JSON, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _whole(receive: Receive) -> bytes | None:
    """The request's body; None: the client left while sending it."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
