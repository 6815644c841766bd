"""Does the engine see what the plugin mounts? Pins are mounts of ours; where they can't work, the engine gets the path itself."""

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


class Pins:
    """`as_root`: the plugin may mount at all."""

    def __init__(self, engine: Engine, settings: DockerSettings, *, as_root: bool) -> None:
        self._engine = engine
        self._settings = settings
        self._as_root = as_root
        self._asking = asyncio.Lock()
        self._works: bool | None = None

    async def work(self) -> bool:
        """Found out once, by a pin and a container that is never started. Raises RuntimeUnavailable."""
        async with self._asking:
            if self._works is None:
                objection = await self.objection()
                self._works = not objection
                if objection:
                    log.warning("hostPath volumes are not mounted before use, so a pod could replace a checked path: %s", objection)
            return self._works

    async def objection(self) -> str:
        """ "" or why pins do not work here. Raises RuntimeUnavailable."""
        if not self._as_root:
            return "the plugin does not run as root"
        directory = self._settings.state_dir / f".pin-{secrets.token_hex(8)}"
        try:
            pin = await in_thread(partial(pin_nothing, directory))
            words = await bind_objection(self._engine, self._settings, pin)
            return words and f"the engine does not see mounts of the plugin: {words}"
        except OSError as error:
            return f"the plugin may not mount: {error.strerror}"
        finally:
            await in_thread(partial(files.remove_tree, directory))


def pin_nothing(directory: Path) -> Path:
    """A pin of an empty directory, below `directory`. Raises OSError."""
    nothing = directory / "nothing"
    files.private_directory(nothing)
    descriptor = os.open(nothing, os.O_PATH | os.O_DIRECTORY)
    try:
        return subpaths.pin(descriptor, directory, "probe")
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
        return error.words
    finally:
        await engine.remove(name)
    return ""
