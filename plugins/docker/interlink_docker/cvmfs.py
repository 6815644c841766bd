"""Is a CernVM-FS repository really there? A missing one must not become an empty directory in a container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path

from interlink_common.agent.runtime import StartError
from interlink_common.workload.model import CvmfsVolume
from interlink_docker.files import FAILED_MOUNT
from interlink_docker.settings import CvmfsSettings


def wanted_directories(volume: CvmfsVolume, root: Path) -> list[Path]:
    """What must be there: each repository, else the sub-path, else the root."""
    repositories = [root / name for name in volume.repositories]
    return repositories or [root / volume.sub_path]


async def probe(volume: CvmfsVolume, settings: CvmfsSettings) -> None:
    """Looks into each directory, which makes autofs mount it. Raises StartError for a missing, empty or silent one."""
    for directory in wanted_directories(volume, settings.path):
        objection = await look_into(directory, settings.probe_timeout_seconds)
        if objection:
            raise StartError(FAILED_MOUNT, f"CVMFS {directory} is not available on this node: {objection}")


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
