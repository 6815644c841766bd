"""The ARC plugin as a process, and what its pods have left at the computing element and on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.servers.arc import ComputingElement
from tests.servers.plugin import BatchPlugin

POD_IMAGE = "busybox:1.36"
QUICK = {
    "follow.poll_seconds": 0.3,
    "follow.quiet_poll_seconds": 1.0,
    "runner.runtimes": ["apptainer"],
    "runner.images": {"busybox": "/images/demo", "localhost/interlink-demo": "/images/demo"},
    "runner.image_directories": ["/images"],
    "job.default_memory_bytes": 64 * 2**20,
}
"""Fast polls, and the images that the element's nodes have as directories."""


class ArcPlugin(BatchPlugin):
    """`settings` as in `PluginProcess`, beside those of the computing element and QUICK."""

    def __init__(self, ce: ComputingElement, directory: Path, settings: Mapping[str, object] | None = None, *, user: str = "alice") -> None:
        super().__init__("arc", directory, {**QUICK, **ce.settings(user=user), **(settings or {})})
        self._ce = ce

    def jobs_of(self, uid: str) -> list[str]:
        return self._ce.jobs_of(uid)
