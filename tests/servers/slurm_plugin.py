"""The example plugin for Slurm as a process, and what its pods have left in the queue and on the shared disk."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.servers.plugin import BatchPlugin
from tests.servers.slurm import Cluster

POD_IMAGE = "busybox:1.36"
QUICK = {
    "follow.poll_seconds": 0.3,
    "follow.quiet_poll_seconds": 0.5,
    "runner.runtimes": ["apptainer"],
    "runner.images": {"busybox": "/images/demo", "localhost/interlink-demo": "/images/demo"},
    "runner.image_directories": ["/images"],
    "job.default_memory_bytes": 64 * 2**20,
}
"""Fast polls, and the images that the node has as directories."""


class SlurmPlugin(BatchPlugin):
    """`settings` as in `PluginProcess`, beside those of the cluster and QUICK. All its files are where the cluster's node sees them."""

    def __init__(self, cluster: Cluster, settings: Mapping[str, object] | None = None) -> None:
        directory = Path(tempfile.mkdtemp(dir=cluster.shared))
        super().__init__("slurm", directory, {**QUICK, **cluster.settings(), "directory": directory / "state", **(settings or {})})
        self._cluster = cluster

    def jobs_of(self, uid: str) -> list[str]:
        return self._cluster.jobs_of(uid)
