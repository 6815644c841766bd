"""Prometheus metrics: what the edge measures, and what the registry counts, read when scraped."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from interlink_common.backend import Gauge
from interlink_common.tracking.pods import PodRecord
from interlink_common.tracking.registry import Registry

ROUTES = frozenset({"/create", "/status", "/getLogs", "/delete"})
LATENCY_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1)
LAG_PERIOD_SECONDS = 0.25


class Metrics:
    """All metrics of one node, in a registry of their own. `gauges`: the backend's."""

    def __init__(self, registry: Registry, gauges: Callable[[], Sequence[Gauge]] = tuple) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_NodeCollector(registry))
        self._registry.register(_BackendCollector(gauges))
        self._requests = PrometheusCounter("interlink_requests", "Requests answered.", ("route", "code"), registry=self._registry)
        self._latency = Histogram(
            "interlink_request_seconds",
            "Time to the first byte of the answer.",
            ("route",),
            buckets=LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._lag = Histogram(
            "interlink_loop_lag_seconds", "How late the event loop wakes a sleeper.", buckets=LAG_BUCKETS, registry=self._registry
        )
        self._prepared: dict[tuple[str, int], tuple[PrometheusCounter, Histogram]] = {}

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts one answered request; unknown paths share one label, or anybody could make labels."""
        route = path if path in ROUTES else "other"
        pair = self._prepared.get((route, status))
        if pair is None:
            pair = self._prepared[route, status] = (self._requests.labels(route, str(status)), self._latency.labels(route))
        pair[0].inc()
        pair[1].observe(seconds)

    async def watch_loop(self) -> None:
        """Measures the event loop's lag for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_PERIOD_SECONDS
            await asyncio.sleep(LAG_PERIOD_SECONDS)
            self._lag.observe(max(0.0, loop.time() - due))

    def text(self) -> bytes:
        """The exposition in Prometheus' text format."""
        return generate_latest(self._registry)


class _NodeCollector(Collector):
    def __init__(self, registry: Registry) -> None:
        self._node = registry

    def collect(self) -> Iterator[Metric]:
        records = list(self._node.pods.values())
        states = GaugeMetricFamily("interlink_pods", "Pods on record.", labels=["state"])
        for state, count in sorted(Counter(map(_state, records)).items()):
            states.add_metric([state], count)
        yield states
        orphans = sum(record.is_orphan for record in records)
        yield GaugeMetricFamily("interlink_orphans", "Pods that interLink no longer asks for.", value=orphans)
        yield GaugeMetricFamily("interlink_backend_up", "1 while the backend answers.", value=float(self._node.backend.up.is_set()))
        ended = CounterMetricFamily("interlink_pods_ended", "Pods that ended: succeeded, failed, or removed before.", labels=["result"])
        for result in ("succeeded", "failed", "removed"):
            ended.add_metric([result], self._node.counters[f"pods_{result}"])
        yield ended
        for name, text in (
            ("submit_retries", "Submits repeated."),
            ("cancel_retries", "Cancels repeated."),
            ("adopted", "Jobs found without a record."),
            ("orphans_collected", "Pods deleted by the collector."),
        ):
            yield CounterMetricFamily(f"interlink_{name}", text, value=self._node.counters[name])


class _BackendCollector(Collector):
    def __init__(self, gauges: Callable[[], Sequence[Gauge]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        families: dict[str, GaugeMetricFamily] = {}
        for gauge in self._gauges():
            if gauge.name not in families:
                families[gauge.name] = GaugeMetricFamily(gauge.name, gauge.text, labels=list(gauge.labels))
            families[gauge.name].add_metric(list(gauge.labels.values()), gauge.value)
        yield from families.values()


def _state(record: PodRecord) -> str:
    return "finished" if record.wanted and record.finished else record.intent.value
