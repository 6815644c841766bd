"""Is a CernVM-FS repository really there? A missing one must not become an empty directory in a container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import CvmfsVolume
from interlink_docker.files import FAILED_MOUNT
from interlink_docker.settings import CvmfsSettings


def wanted_directories(volume: CvmfsVolume, root: Path) -> list[Path]:
    """What must be there: each repository, else the sub-path, else the root."""
    repositories = [root / name for name in volume.repositories]
    return repositories or [root / volume.sub_path]


@dataclass(frozen=True)
class Wanted:
    """A volume that an attempt of a container waits for."""

    pod_uid: str
    container: str
    attempt: int
    volume: str


class Probes:
    """Looks for the repositories of all pods, and remembers since when each attempt misses one; a restart of the plugin forgets that."""

    def __init__(self, settings: CvmfsSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._missing_since: dict[Wanted, float] = {}

    async def require(self, volume: CvmfsVolume, wanted: Wanted) -> None:
        """Looks into each directory, which makes autofs mount it. Raises StartError for a missing, empty or silent one.

        FailedMount: it is tried again; RunContainerError, after `cvmfs.give_up_seconds`: the attempt is spent.
        """
        for directory in wanted_directories(volume, self._settings.path):
            objection = await look_into(directory, self._settings.probe_timeout_seconds)
            if objection:
                self._object(wanted, f"CVMFS {directory} is not available on this node: {objection}")
        self._missing_since.pop(wanted, None)

    def _object(self, wanted: Wanted, words: str) -> NoReturn:
        now, limit = self._clock(), self._settings.give_up_seconds
        if now - self._missing_since.setdefault(wanted, now) < limit:
            raise StartError(FAILED_MOUNT, words)
        del self._missing_since[wanted]
        raise StartError("RunContainerError", f"{words}; given up after {limit:g} s")

    def forget(self, pod_uid: str) -> None:
        self._missing_since = {wanted: since for wanted, since in self._missing_since.items() if wanted.pod_uid != pod_uid}


async def look_into(directory: Path, timeout_seconds: float) -> str:
    """ "" or what is wrong. A hanging mount can hold its thread for ever, so each look has a daemon thread of its own."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def tell(objection: str) -> None:
        if not answer.done():
            answer.set_result(objection)

    def look() -> None:
        try:
            with os.scandir(directory) as entries:
                objection = "" if next(entries, None) else "it is empty"
        except OSError as error:
            objection = error.strerror or type(error).__name__
        with contextlib.suppress(RuntimeError):  # the loop ended before the mount answered
            loop.call_soon_threadsafe(tell, objection)

    threading.Thread(target=look, name="cvmfs-probe", daemon=True).start()
    try:
        return await asyncio.wait_for(answer, timeout_seconds)
    except TimeoutError:
        return f"no answer in {timeout_seconds:g} s"
