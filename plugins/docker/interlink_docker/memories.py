"""What the agent remembers of each pod, a file each: durable before the agent acts on it, and never what a pod is lost for."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from interlink_common.lifecycle.memory import from_checkpoint
from interlink_docker.files import private_directory
from interlink_docker.locations import pod_directory
from interlink_docker.settings import DockerSettings
from interlink_docker.threads import in_thread

log = logging.getLogger(__name__)

MEMORY, DAMAGED, ADOPTED = "memory.json", "memory.damaged", "adopted"


@dataclass(frozen=True)
class Remembered:
    """`text` is what the agent saved last, "" if nothing. `adopted`: all that is known of the pod is what its labels tell."""

    text: str = ""
    adopted: bool = False


class Memories:
    """`read` blocks and is called in a thread; the writers wait for the disk without the event loop, and finish when cancelled."""

    def __init__(self, settings: DockerSettings) -> None:
        self._settings = settings

    def read(self, uid: str) -> Remembered:
        """A file that can't be understood is set aside: what the agent then knows of the pod is what the engine tells it."""
        directory = pod_directory(self._settings, uid)
        adopted = (directory / ADOPTED).exists()
        try:
            text = (directory / MEMORY).read_text()
            if not text:
                raise ValueError("it is empty")
            from_checkpoint(text)
        except FileNotFoundError:
            return Remembered("", adopted)
        except ValueError as error:
            log.warning("the memory of pod %s is damaged (%s) and set aside; the engine is asked instead", uid, error)
            (directory / MEMORY).replace(directory / DAMAGED)
            return Remembered("", adopted)
        return Remembered(text, adopted)

    async def save(self, uid: str, text: str) -> None:
        """Durable when it returns."""
        path = pod_directory(self._settings, uid) / MEMORY
        await in_thread(lambda: write_durably(path, text))

    async def mark_adopted(self, uid: str) -> None:
        """As `save`; in a file of its own, so that a pod that can't be started is not started, whatever becomes of the other."""
        path = pod_directory(self._settings, uid) / ADOPTED
        await in_thread(lambda: write_durably(path, ""))


def write_durably(path: Path, text: str) -> None:
    """All of it or nothing, also after a power cut: a new file, then a rename, each synced to the disk."""
    is_new = not path.parent.exists()
    private_directory(path.parent)
    writing = path.with_suffix(".new")
    with os.fdopen(os.open(writing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    writing.replace(path)
    for directory in (path.parent, path.parent.parent) if is_new else (path.parent,):
        _sync_directory(directory)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
