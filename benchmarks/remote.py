"""The Kueue plugin with a sampler of its event loop's lag. Usage: remote.py SOCKET STATE_DIR KUBECONFIG."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from interlink_common.backend import Job
from interlink_common.serve.server import run
from interlink_common.settings import TelemetrySettings
from interlink_kueue.backend import KueueBackend
from interlink_kueue.settings import ClusterSettings, KueueSettings


class SampledBackend(KueueBackend):
    """Writes lag.json into the state directory when it ends."""

    _lags: list[float]

    async def start(self, jobs: Sequence[Job]) -> None:
        self._lags = []
        self._sampler = asyncio.create_task(self._sample())
        await super().start(jobs)

    async def close(self) -> None:
        self._sampler.cancel()
        (self.settings.state_dir / "lag.json").write_text(json.dumps(self._lags))
        await super().close()

    async def _sample(self) -> None:
        """How much later than asked a 5 ms timer fires."""
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.005)
            self._lags.append(time.perf_counter() - begin - 0.005)


if __name__ == "__main__":
    quiet = TelemetrySettings(log_level="warning", listen=None)
    clusters = {"default": ClusterSettings(kubeconfig=Path(sys.argv[3]))}
    chosen = KueueSettings(listen=f"unix://{sys.argv[1]}", state_dir=Path(sys.argv[2]), telemetry=quiet, clusters=clusters)
    run(SampledBackend(chosen), chosen)
