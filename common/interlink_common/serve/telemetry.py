"""What an operator sees of a plugin besides its answers: log lines, spans, and a listener for /metrics, /healthz and /readyz."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

import structlog
from opentelemetry import trace
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from interlink_common.errors import ConfigurationError
from interlink_common.serve.metrics import Metrics
from interlink_common.settings import PluginSettings, TelemetrySettings
from interlink_common.tracking.registry import Registry


def configure_logging(settings: TelemetrySettings) -> None:
    """Logs to standard error, as JSON lines or for people; levels below `log_level` cost next to nothing.

    Libraries that use the standard library's logging get the same format.
    """
    level = getattr(logging, settings.log_level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor
    if settings.log_format == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # The default formatter prints local variables: bodies, and the secrets in them.
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))
    for name in ("uvicorn", "httpx"):  # a line for each request, be it served or made
        logging.getLogger(name).setLevel(logging.WARNING)


@dataclass(frozen=True)
class RequestSpan:
    """The span of one request."""

    span: trace.Span

    def answered(self, status: int) -> None:
        self.span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self.span.set_status(trace.StatusCode.ERROR)


class Tracer:
    """Makes spans; `close` sends what is still queued."""

    def __init__(self, provider: trace.TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("interlink_common.serve")

    @contextmanager
    def request(self, method: str, path: str, session: str) -> Iterator[RequestSpan]:
        attributes = {"http.request.method": method, "url.path": path, "interlink.http.session": session}
        with self._tracer.start_as_current_span(f"{method} {path}", kind=trace.SpanKind.SERVER, attributes=attributes) as span:
            yield RequestSpan(span)

    def close(self) -> None:
        shutdown = getattr(self._provider, "shutdown", None)
        if shutdown is not None:
            shutdown()


def tracer_for(settings: PluginSettings) -> Tracer | None:
    """None where no endpoint is set: the SDK is not even imported then. Raises ConfigurationError if the exporter is not installed."""
    endpoint = settings.telemetry.otlp_endpoint
    if endpoint is None:
        return None
    try:
        exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        resources = import_module("opentelemetry.sdk.resources")
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
    except ImportError as error:
        raise ConfigurationError(
            "telemetry.otlp_endpoint is set but the exporter is missing; install interlink-plugin-common[tracing] or unset it"
        ) from error
    provider = sdk.TracerProvider(resource=resources.Resource.create({"service.name": f"interlink-plugin-{settings.plugin_name}"}))
    provider.add_span_processor(export.BatchSpanProcessor(exporter.OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")))
    return Tracer(provider)


def telemetry_app(registry: Registry, metrics: Metrics) -> ASGIApp:
    """Serves the telemetry listener, which operators may open to a scraper without opening the plugin.

    healthz: the process answers. readyz: the backend has answered once, so every pod is known; a later outage does not undo it.
    """

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
