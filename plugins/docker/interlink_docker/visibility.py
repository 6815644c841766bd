"""Whether the engine sees what the plugin mounts: only then the plugin's bind mounts for subPath and hostPath work."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from functools import partial
from pathlib import Path

from interlink_common.background import in_thread
from interlink_docker import files, labels, subpaths
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.images import Images
from interlink_docker.locations import as_engine_sees
from interlink_docker.settings import DockerSettings
from interlink_docker.translate import bind

log = logging.getLogger(__name__)


class MountVisibility:
    """Whether the engine sees our mounts. Where it doesn't, it gets the path itself. `as_root`: the plugin may mount at all."""

    def __init__(self, engine: Engine, settings: DockerSettings, *, as_root: bool) -> None:
        self._engine = engine
        self._settings = settings
        self._as_root = as_root
        self._lock = asyncio.Lock()
        self._given: bool | None = None

    async def is_given(self) -> bool:
        """Found out once, with a bind mount and a container that is never started. Raises RuntimeUnavailable."""
        async with self._lock:
            if self._given is None:
                objection = await self.objection()
                self._given = not objection
                if objection:
                    log.warning("hostPath volumes are not mounted before use, so a pod could replace a checked path: %s", objection)
            return self._given

    async def objection(self) -> str:
        """ "" or why bind mounts of the plugin do not work here. Raises RuntimeUnavailable."""
        if not self._as_root:
            return "the plugin does not run as root"
        directory = self._settings.state_dir / f".mount-{secrets.token_hex(8)}"
        try:
            mounted = await in_thread(partial(bind_mount_empty_directory, directory))
            message = await bind_objection(self._engine, self._settings, mounted)
            return message and f"the engine does not see mounts of the plugin: {message}"
        except OSError as error:
            return f"the plugin may not mount: {error.strerror}"
        finally:
            await in_thread(partial(files.remove_tree, directory))


def bind_mount_empty_directory(directory: Path) -> Path:
    """A bind mount of an empty directory, below `directory`. Raises OSError."""
    empty = directory / "nothing"
    files.private_directory(empty)
    descriptor = os.open(empty, os.O_PATH | os.O_DIRECTORY)
    try:
        return subpaths.bind_mount(descriptor, directory, "probe")
    finally:
        os.close(descriptor)


async def bind_objection(engine: Engine, settings: DockerSettings, path: Path) -> str:
    """ "" or why the engine does not bind this path of ours into a container. Raises RuntimeUnavailable."""
    name = f"interlink-probe-{secrets.token_hex(8)}"
    config = {
        "Image": str(Images(engine, settings.images).reference(settings.sandbox.image)),
        "Labels": labels.ours(settings.instance, labels.PROBE_ROLE),
        "HostConfig": {"NetworkMode": "none", "Mounts": [bind("/probe", as_engine_sees(settings, str(path)), read_only=True)]},
    }
    try:
        await engine.create(name, config)
    except EngineRefusal as error:
        return error.message
    finally:
        await engine.remove(name)
    return ""
