"""Errors as HTTP answers: one sentence of plain text, because interLink shows the body of a failed create to the person as it is."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from interlink_common.contract.answers import sentence
from interlink_common.errors import PluginError, Temporary

log = structlog.get_logger(__name__)

INTERNAL = "The plugin has an error of its own; look for this request id in its log."


def error_response(error: Exception) -> Response:
    """The answer to a call that raised: the status of its type (table: `interlink_common.errors`), 500 for what nobody meant to raise."""
    if not isinstance(error, PluginError):
        log.error("request failed because of an internal error", exc_info=error)
        return PlainTextResponse(INTERNAL, status_code=500)
    text = sentence(str(error))
    headers = {}
    if isinstance(error, Temporary) and error.retry_after_seconds is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_seconds)))
    log.warning("request refused", status=error.http_status, error=text)
    return PlainTextResponse(text, status_code=error.http_status, headers=headers)


class SentenceRoute(APIRoute):
    """A route whose every exception becomes an answer here, so none reaches the server's own handler with a traceback."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except Exception as error:  # noqa: BLE001  the guard: whatever it is, the client gets a sentence
                return error_response(error)

        return guarded


def no_such_route(status: int = 404, headers: Mapping[str, str] | None = None) -> Response:
    """The answer to a wrong path or method."""
    text = "There is no such route; they are POST /create, GET /status, GET /getLogs and POST /delete."
    return PlainTextResponse(text, status_code=status, headers=headers)


def answer_wrong_routes(app: FastAPI) -> None:
    """Has the app answer wrong paths and methods with a sentence too."""

    async def answer(_request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return no_such_route(error.status_code, error.headers)
        return no_such_route(500)

    app.add_exception_handler(HTTPException, answer)
