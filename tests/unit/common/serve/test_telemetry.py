"""Spans where an endpoint is set, nothing at all where none is, and a sentence where the exporter is missing."""

from __future__ import annotations

import sys

import httpx
import pytest
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from interlink_common.errors import ConfigurationError
from interlink_common.serve.calls import ObservedCalls
from interlink_common.serve.metrics import Metrics
from interlink_common.serve.telemetry import Tracer, tracer_for
from interlink_common.settings import PluginSettings, TelemetrySettings
from interlink_common.tracking.outage import BackendState
from interlink_common.tracking.registry import ContactClock, Registry


def test_no_endpoint_no_tracer() -> None:
    assert tracer_for(PluginSettings()) is None


def test_a_missing_exporter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigurationError, match=r"telemetry\.otlp_endpoint .* interlink-plugin-common\[tracing\]"):
        tracer_for(PluginSettings(telemetry=TelemetrySettings(otlp_endpoint="http://127.0.0.1:4318")))


async def test_a_request_is_a_span_with_its_session() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    metrics = Metrics(Registry(BackendState("b", float), ContactClock()))
    app = ObservedCalls(FastAPI(), max_request_bytes=10, metrics=metrics, tracer=Tracer(provider))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as http:
        await http.get("/nowhere", headers={"InterLink-Http-Session": "GetStatus#1"})
    (span,) = exporter.get_finished_spans()
    assert (span.name, dict(span.attributes or {})) == (
        "GET /nowhere",
        {
            "http.request.method": "GET",
            "url.path": "/nowhere",
            "interlink.http.session": "GetStatus#1",
            "http.response.status_code": 404,
        },
    )
    provider.shutdown()
