"""OpenTelemetry spans, one per request, and only where the operator named an endpoint: the SDK is not even imported otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module

from opentelemetry import trace

from interlink_common.errors import ConfigurationError
from interlink_common.settings import PluginSettings


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
    """None where no endpoint is set. Raises ConfigurationError if the exporter is not installed."""
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
