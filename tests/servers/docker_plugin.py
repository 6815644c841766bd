"""The Docker plugin as a process, and what its pods have left on the engine and on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from interlink_docker import labels
from tests.servers.docker_engine import DockerEngine
from tests.servers.plugin import PluginProcess


class DockerPlugin(PluginProcess):
    """`settings` as in `PluginProcess`."""

    def __init__(self, engine: DockerEngine, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        super().__init__("docker", directory, {"engine.url": engine.url, **(settings or {})})
        self._engine, self._state = engine, directory / "state"

    async def leftovers(self, pod_uid: str) -> list[str]:
        return await asyncio.to_thread(self.found, pod_uid)

    def found(self, uid: str) -> list[str]:
        """Containers, volumes and files of a pod."""
        wanted = {"label": [f"{key}={value}" for key, value in labels.ours(str(self._state), uid=uid).items()]}
        with self._engine.client() as client:
            containers = [name for found in client.containers(all=True, filters=wanted) for name in found["Names"]]
            volumes = [found["Name"] for found in client.volumes(filters=wanted)["Volumes"] or []]
        files = [str(path) for path in self._state.glob("pods/*") if path.name == uid]
        return containers + volumes + files
