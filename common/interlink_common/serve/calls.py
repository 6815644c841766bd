"""What every call passes before FastAPI: its size limit, its metrics and its span; and GET /status, which is answered here.

Plain ASGI messages, for speed: interLink asks for every pod every few seconds, and FastAPI's routing alone, like `BaseHTTPMiddleware`,
costs more than the answer itself.
"""

from __future__ import annotations

import time

import structlog
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from interlink_common.errors import TooLarge
from interlink_common.serve.errors import error_response, no_such_route
from interlink_common.serve.metrics import Metrics
from interlink_common.serve.telemetry import Tracer
from interlink_common.tracking.node import VirtualNode

log = structlog.get_logger(__name__)

STATUS = "/status"
SESSION_HEADER = b"interlink-http-session"
MAX_SESSION_CHARACTERS = 128
QUIET_PATHS = frozenset({STATUS})
"""Called once per pod every few seconds: logged only when it fails, unless every call is to be logged (log_level debug)."""


class ObservedCalls:
    """Measures, logs and traces every call.

    Bodies over `max_request_bytes` are answered 413, before they are read where their length is announced.
    """

    def __init__(
        self, app: ASGIApp, *, max_request_bytes: int, metrics: Metrics, tracer: Tracer | None, log_every_call: bool = False
    ) -> None:
        self._app = app
        self._limit = max_request_bytes
        self._metrics = metrics
        self._tracer = tracer
        self._quiet = frozenset() if log_every_call else QUIET_PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        session, length = _session_and_length(scope)
        structlog.contextvars.bind_contextvars(request_id=session)
        begun = time.perf_counter()
        status = 500

        async def send_measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._metrics.request(path, status, time.perf_counter() - begun)
            await send(message)

        async def answer() -> None:
            if length > self._limit:
                await PlainTextResponse(str(self._too_large()), status_code=413)(scope, receive, send_measured)
            else:
                await self._app(scope, receive if length else self._counted(receive), send_measured)

        if self._tracer is None:
            await answer()
        else:
            with self._tracer.request(scope["method"], path, session) as span:
                await answer()
                span.answered(status)
        if path not in self._quiet or status != 200:
            log.info("request", method=scope["method"], path=path, status=status, seconds=round(time.perf_counter() - begun, 6))

    def _counted(self, receive: Receive) -> Receive:
        """For bodies of unannounced length (chunked)."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The request body is over {self._limit} bytes; the operator can raise max_request_bytes.")


def _session_and_length(scope: Scope) -> tuple[str, int]:
    """interLink's request id, and the announced length of the body (0: none announced)."""
    session, length = "", 0
    for name, value in scope["headers"]:
        if name == SESSION_HEADER:
            session = value.decode("latin-1")[:MAX_SESSION_CHARACTERS]
        elif name == b"content-length":
            length = int(value)
    return session, length


_JSON = (b"content-type", b"application/json")


class StatusRoute:
    """Answers GET /status, and passes everything else on."""

    def __init__(self, app: ASGIApp, *, node: VirtualNode) -> None:
        self._app = app
        self._node = node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != STATUS:
            await self._app(scope, receive, send)
            return
        if scope["method"] != "GET":
            await no_such_route(405, {"Allow": "GET"})(scope, receive, send)
            return
        try:
            body = await _whole_body(receive)
            if body is None:
                return
            answer = self._node.status(body)
        except Exception as error:  # noqa: BLE001  as in SentenceRoute: whatever it is, the client gets a sentence
            await error_response(error)(scope, receive, send)
            return
        headers = [_JSON, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def _whole_body(receive: Receive) -> bytes | None:
    """The request's body; None: the client left while sending it."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
