"""The agent's checkpoint of each pod, a file each: durable before the agent acts on it. A damaged file never costs a pod."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from interlink_common.background import in_thread
from interlink_common.lifecycle.memory import from_checkpoint
from interlink_docker.files import private_directory
from interlink_docker.locations import pod_directory
from interlink_docker.settings import DockerSettings

log = logging.getLogger(__name__)

CHECKPOINT, DAMAGED, ADOPTED = "memory.json", "memory.damaged", "adopted"


@dataclass(frozen=True)
class Checkpoint:
    """`text` is what the agent saved last, "" if nothing. `adopted`: the pod is known only from its labels."""

    text: str = ""
    adopted: bool = False


class Checkpoints:
    """`read` blocks and is called in a thread; the writers write in threads, and finish when cancelled."""

    def __init__(self, settings: DockerSettings) -> None:
        self._settings = settings

    def read(self, uid: str) -> Checkpoint:
        """Reads a pod's checkpoint. A file that can't be parsed is set aside; the agent then knows of the pod what the engine reports."""
        directory = pod_directory(self._settings, uid)
        adopted = (directory / ADOPTED).exists()
        try:
            text = (directory / CHECKPOINT).read_text()
            if not text:
                raise ValueError("it is empty")
            from_checkpoint(text)
        except FileNotFoundError:
            return Checkpoint("", adopted)
        except ValueError as error:
            log.warning("the checkpoint of pod %s is damaged (%s) and was set aside; its state comes from the engine", uid, error)
            (directory / CHECKPOINT).replace(directory / DAMAGED)
            return Checkpoint("", adopted)
        return Checkpoint(text, adopted)

    async def save(self, uid: str, text: str) -> None:
        """Durable when it returns."""
        path = pod_directory(self._settings, uid) / CHECKPOINT
        await in_thread(lambda: write_durably(path, text))

    async def mark_adopted(self, uid: str) -> None:
        """Marks a pod whose containers can't be started; durable as `save`. A file of its own: the mark outlives a damaged checkpoint."""
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
