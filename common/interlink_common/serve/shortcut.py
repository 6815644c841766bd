"""GET /status past FastAPI's routing, which costs more than the answer itself: interLink asks for every pod, every few seconds."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from interlink_common.serve.errors import error_response
from interlink_common.tracking.node import VirtualNode


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
            response = Response(self._node.status(await Request(scope, receive).body()), media_type="application/json")
        except Exception as error:  # noqa: BLE001  as in SentenceRoute: whatever it is, the client gets a sentence
            response = error_response(error)
        await response(scope, receive, send)
