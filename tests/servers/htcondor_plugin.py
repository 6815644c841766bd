"""The HTCondor plugin as a process, and what its pods have left in the queue, in the spool and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from interlink_htcondor.quoting import encoded
from tests.servers.htcondor import Pool
from tests.servers.plugin import BatchPlugin

POD_IMAGE = "busybox:1.36"
QUICK = {
    "follow.poll_seconds": 0.3,
    "runner.runtimes": ["apptainer"],
    "runner.images": {"busybox": "/images/demo", "localhost/interlink-demo": "/images/demo"},
    "runner.image_directories": ["/images"],
    "job.default_memory_bytes": 64 * 2**20,
    "job.default_disk_bytes": 16 * 2**20,
}
"""Fast polls, and the images that the pool's nodes have as directories."""


class HTCondorPlugin(BatchPlugin):
    """`settings` as in `PluginProcess`, beside those of the pool and QUICK."""

    def __init__(self, pool: Pool, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        super().__init__("htcondor", directory, {**QUICK, **pool.settings(directory / "tokens"), **(settings or {})})
        self._pool = pool

    def jobs_of(self, uid: str) -> list[str]:
        """Where there is no job there is no spool directory: see `Pool.spooled`."""
        safe = encoded(uid).replace("'", "")
        return self._pool.run(f"condor_q -allusers -constraint 'InterLinkPodUid == \"{safe}\"' -af ClusterId JobStatus HoldReason").split()
