"""interLink's network scripts for a pod: a container of ours runs the mesh and the tunnels in the pod's network namespace.

The mesh script expects to make a network namespace and to run the pod in it. Here the sandbox is that namespace already, so the script
finds an `unshare` and a `mount` of ours (network_scripts/bin) that act in place. Both scripts are shell texts; the only shell
that sees them is this container's.
"""

from __future__ import annotations

import asyncio
import stat
from functools import cache
from importlib.resources import files as resources
from importlib.resources.abc import Traversable
from pathlib import Path

from interlink_common.agent.runtime import StartError
from interlink_common.background import in_thread
from interlink_common.contract.answers import sentence
from interlink_common.model.workload import File, Workload
from interlink_docker import files, labels
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.images import Images
from interlink_docker.locations import network_directory, network_ready_file
from interlink_docker.multiplexed import demultiplexed
from interlink_docker.settings import DockerSettings
from interlink_docker.states import moment
from interlink_docker.translate import network_config

POLL_SECONDS = 0.25
SHOWN_LINES, SHOWN_CHARACTERS = 5, 160


@cache
def our_scripts() -> tuple[File, ...]:
    def below(place: Traversable, prefix: str) -> list[File]:
        found = []
        for entry in sorted(place.iterdir(), key=lambda entry: entry.name):
            name = prefix + entry.name
            found += below(entry, name + "/") if entry.is_dir() else [File(name, 0o755, entry.read_bytes())]
        return found

    return tuple(below(resources("interlink_docker") / "network_scripts", ""))


def pod_scripts(workload: Workload) -> tuple[File, ...]:
    """The annotations' texts. They hold keys of the mesh and of the tunnel."""
    scripts = {"mesh": workload.network.mesh_script, "tunnel": workload.network.tunnel_commands}
    return tuple(File(name, 0o600, text.encode()) for name, text in scripts.items() if text)


class PodNetwork:
    """The network containers of all pods."""

    def __init__(self, engine: Engine, images: Images, settings: DockerSettings) -> None:
        self._engine = engine
        self._images = images
        self._settings = settings

    async def prepare(self, workload: Workload) -> None:
        """Starts the pod's network container, if it has one, in the running sandbox; returns when the mesh stands.

        Raises StartError with the last lines of the container's log when it ended or took longer than `network.ready_seconds`.
        """
        if not (self._settings.network.image and workload.network.has_scripts):
            return
        name = labels.network_name(workload.uid)
        try:
            await self._start(workload, name)
            if workload.network.mesh_script:
                await self._until_ready(workload, name)
        except EngineRefusal as error:
            raise StartError("CreateContainerError", f"failed to create the pod network: {error.message}") from error

    async def remove(self, uid: str) -> None:
        """Ends and removes the network container, if there is one."""
        if self._settings.network.image:
            await self._engine.remove(labels.network_name(uid))

    async def _start(self, workload: Workload, name: str) -> None:
        if await self._runs_in_current_sandbox(workload, name):
            return
        await self._engine.remove(name)
        await in_thread(lambda: self._write(workload))
        image = self._settings.network.image
        await self._images.ensure(image, "IfNotPresent", ())
        await self._engine.create(name, network_config(workload, self._settings, str(self._images.reference(image))))
        await self._engine.start(name)

    async def _runs_in_current_sandbox(self, workload: Workload, name: str) -> bool:
        """Whether it runs in the current sandbox: a sandbox that was started again has another network namespace."""
        try:
            mine = (await self._engine.inspect(name))["State"]
        except EngineRefusal as error:
            if error.is_missing:
                return False
            raise
        sandbox = (await self._engine.inspect(labels.sandbox_name(workload.uid)))["State"]
        return bool(mine["Running"]) and (moment(mine["StartedAt"]) or 0.0) > (moment(sandbox["StartedAt"]) or 0.0)

    def _write(self, workload: Workload) -> None:
        files.write_files(network_directory(self._settings, workload.uid), (*our_scripts(), *pod_scripts(workload)), None)
        network_ready_file(self._settings, workload.uid).write_bytes(b"")

    async def _until_ready(self, workload: Workload, name: str) -> None:
        ready = network_ready_file(self._settings, workload.uid)
        try:
            async with asyncio.timeout(self._settings.network.ready_seconds):
                while not await in_thread(lambda: is_written(ready)):
                    inspected = await self._engine.inspect(name)
                    if inspected["RestartCount"] or not inspected["State"]["Running"]:
                        raise StartError("CreateContainerError", f"the mesh network was not set up: {await self._last_log_lines(name)}")
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            message = await self._last_log_lines(name)
            await self._engine.remove(name)
            raise StartError("CreateContainerError", f"the mesh network was not set up in time: {message}") from None
        except StartError:
            await self._engine.remove(name)
            raise

    async def _last_log_lines(self, name: str) -> str:
        query = {"stdout": "1", "stderr": "1", "tail": str(SHOWN_LINES)}
        text = demultiplexed(await self._engine.read(f"/containers/{name}/logs", query)).decode(errors="replace")
        return sentence(text[-SHOWN_CHARACTERS:])


def is_written(path: Path) -> bool:
    """Whether there is anything in the file; a link that a container could have put there does not count."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0
