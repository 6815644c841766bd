"""Is CernVM-FS really there? A missing repository must not become an empty directory in a container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading

from interlink_common.model.site import cvmfs_directories
from interlink_common.model.workload import CvmfsVolume


async def what_is_missing(volume: CvmfsVolume, root: str, timeout_seconds: float) -> str:
    """Looks into each repository, which makes autofs mount it: "" or a sentence on the first that is missing, empty or silent."""
    for directory in cvmfs_directories(volume, root):
        objection = await look_into(directory, timeout_seconds)
        if objection:
            return f"CVMFS {directory} is not available on this node: {objection}"
    return ""


async def look_into(directory: str, timeout_seconds: float) -> str:
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
    except asyncio.TimeoutError:
        return f"no answer in {timeout_seconds:g} s"
