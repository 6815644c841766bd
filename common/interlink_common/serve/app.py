"""The app: interLink's four routes, each a few lines over the virtual node. FastAPI has three of them; `StatusRoute` answers GET /status.

Bodies are read raw and parsed by the node: FastAPI's own parsing would decode a whole pod where a status needs six names of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from interlink_common.errors import PluginError
from interlink_common.serve.calls import STATUS, ObservedCalls, StatusRoute
from interlink_common.serve.errors import SentenceRoute, answer_wrong_routes
from interlink_common.serve.metrics import Metrics
from interlink_common.serve.telemetry import Tracer
from interlink_common.tracking.node import VirtualNode

log = structlog.get_logger(__name__)

FIRST_CHUNK_SECONDS = 1.0
"""How long a log may stay silent before its answer begins: an error in that time still gets its own status code."""


def _body(schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"requestBody": {"required": True, "description": description, "content": {"application/json": {"schema": schema}}}}


_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body does not follow the contract; one sentence names the field.", **_TEXT},
    413: {"description": "The body is over max_request_bytes.", **_TEXT},
    503: {"description": "The backend cannot be reached.", **_TEXT},
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    410: {"description": "The pod was deleted; its UID is never created again.", **_TEXT},
    422: {"description": "A pod that this plugin will not run; one sentence names the field and the remedy.", **_TEXT},
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"description": "No such pod, container or attempt.", **_TEXT}}
_POD: dict[str, Any] = {
    "type": "object",
    "required": ["metadata"],
    "properties": {"metadata": {"type": "object", "required": ["uid"]}, "spec": {"type": "object"}},
}


_STATUS_CALL: dict[str, Any] = {
    "summary": "Status",
    "description": "The container statuses of the pods in the body, or what the node offers if there are none.",
    "operationId": "status_status_get",
    **_body({"type": "array", "items": _POD}, "Pods; none is a ping."),
    "responses": {
        "200": {"description": "Successful Response", "content": {"application/json": {"schema": {}}}},
        **{str(code): answer for code, answer in _ERRORS.items()},
    },
}


class _App(FastAPI):
    """Documents GET /status too, which it never sees."""

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        schema["paths"].setdefault(STATUS, {"get": _STATUS_CALL})
        return schema


def create_app(node: VirtualNode, *, metrics: Metrics | None = None, tracer: Tracer | None = None) -> FastAPI:
    """The app of one node. The node's `Reconciler` must be started by the caller."""
    app = _App(title=f"interLink plugin: {node.backend.name}", version=version("interlink-plugin-common"), docs_url=None, redoc_url=None)
    app.router.route_class = SentenceRoute

    @app.post(
        "/create",
        responses={**_ERRORS, **_REFUSALS},
        openapi_extra=_body({"type": "object", "required": ["pod"]}, "The pod, and the ConfigMaps and Secrets that its containers mount."),
    )
    async def create(request: Request) -> Response:
        """Accepts a pod; idempotent by UID. Answers PodUID and PodJID."""
        return Response(await node.create(await request.body()), media_type="application/json")

    @app.get(
        "/getLogs",
        responses={**_ERRORS, **_NOT_FOUND},
        openapi_extra=_body({"type": "object", "required": ["PodUID", "ContainerName"]}, "One container and the options of kubectl logs."),
    )
    async def logs(request: Request) -> Response:
        """The log of one container as a stream of text."""
        chunks = await node.logs(await request.body())
        return StreamingResponse(await _begun(chunks), media_type="text/plain")

    @app.post("/delete", responses=_ERRORS, openapi_extra=_body(_POD, "The full pod."))
    async def delete(request: Request) -> Response:
        """Accepts a deletion durably; it is done in the background. An unknown pod is no error."""
        await node.delete(await request.body())
        return Response(b"{}", media_type="application/json")

    answer_wrong_routes(app)
    app.add_middleware(StatusRoute, node=node)
    app.add_middleware(
        ObservedCalls,
        max_request_bytes=node.settings.max_request_bytes,
        metrics=metrics or Metrics(node.registry, node.backend.gauges),
        tracer=tracer,
        log_every_call=node.settings.telemetry.log_level == "debug",
    )
    return app


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, once the first is there or the log has been silent for a moment. Raises what the backend raises until then."""
    first = asyncio.ensure_future(anext(chunks, None))
    await asyncio.wait({first}, timeout=FIRST_CHUNK_SECONDS)
    if first.done():
        first.result()

    async def rest() -> AsyncIterator[bytes]:
        try:
            chunk = await first
            while chunk is not None:
                yield chunk
                chunk = await anext(chunks, None)
        except PluginError as error:
            log.warning("log stream broken off", error=str(error))
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    return rest()
