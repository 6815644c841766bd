"""What a backend adds to /metrics."""

from __future__ import annotations

from interlink_common.backend import Gauge
from interlink_common.serve.metrics import Metrics
from interlink_common.tracking.outage import BackendState
from interlink_common.tracking.registry import ContactClock, Registry


def test_a_backends_gauges_are_read_when_scraped() -> None:
    values = iter((1.0, 2.0))

    def gauges() -> list[Gauge]:
        return [Gauge("queue_jobs", "Jobs.", next(values), {"queue": "a"}), Gauge("queue_jobs", "Jobs.", 7.0, {"queue": "b"})]

    metrics = Metrics(Registry(BackendState("b", float), ContactClock()), gauges)
    for first in ("1.0", "2.0"):
        text = metrics.text().decode()
        assert text.count("# HELP queue_jobs Jobs.") == 1
        assert f'queue_jobs{{queue="a"}} {first}\nqueue_jobs{{queue="b"}} 7.0\n' in text
