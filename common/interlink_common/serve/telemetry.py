"""/metrics, /healthz and /readyz, on a listener of their own: operators may open it to a scraper without opening the plugin."""

from __future__ import annotations

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from interlink_common.serve.metrics import Metrics
from interlink_common.tracking.registry import Registry


def telemetry_app(registry: Registry, metrics: Metrics) -> ASGIApp:
    """healthz: the process answers. readyz: the backend was seen once, so every pod is known; a later outage does not undo it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _answer(scope["path"], registry, metrics)(scope, receive, send)

    return app


def _answer(path: str, registry: Registry, metrics: Metrics) -> Response:
    if path == "/metrics":
        return Response(metrics.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
    if path == "/healthz":
        return PlainTextResponse("ok\n")
    if path == "/readyz":
        if not registry.recovered:
            return PlainTextResponse(f"{registry.backend.sentence or 'the backend has not answered yet'}\n", status_code=503)
        return PlainTextResponse(f"{registry.backend.sentence or 'ok'}\n")
    return PlainTextResponse("the paths are /metrics, /healthz and /readyz\n", status_code=404)
