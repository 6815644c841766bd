"""Is CernVM-FS really there? A missing repository must not become an empty directory in a container."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from pathlib import Path

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import CvmfsVolume, Workload
from interlink_common.podrunner.config import CvmfsRules


def repositories(workload: Workload) -> tuple[str, ...]:
    """All that the pod names, in order."""
    volumes = [volume for volume in workload.volumes if isinstance(volume, CvmfsVolume)]
    return tuple(dict.fromkeys(name for volume in volumes for name in volume.repositories))


def needs_cvmfsexec(workload: Workload, rules: CvmfsRules) -> bool:
    """Whether podrunner has to run below cvmfsexec: the pod wants CVMFS, and the node has not even the directory of one repository."""
    wanted = any(isinstance(volume, CvmfsVolume) for volume in workload.volumes)
    return wanted and bool(rules.cvmfsexec) and not any(_is_mounted(rules, name) for name in repositories(workload) or ("",))


async def check(volume: CvmfsVolume, rules: CvmfsRules) -> None:
    """Looks into each repository, which makes autofs mount it. Raises StartError for a missing, empty or silent one."""
    root = Path(rules.path)
    wanted = [root / name for name in volume.repositories] or [root / volume.sub_path]
    for directory in wanted:
        objection = await look_into(directory, rules.probe_timeout_seconds)
        if objection:
            raise StartError("FailedMount", f"CVMFS {directory} is not available on this node: {objection}")


async def look_into(directory: Path, timeout_seconds: float) -> str:
    """ "" or what is wrong. A hanging mount can hold its thread for ever, so each look has a daemon thread of its own."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def tell(objection: str) -> None:
        if not answer.done():
            answer.set_result(objection)

    def look() -> None:
        try:
            objection = "" if any(directory.iterdir()) else "it is empty"
        except OSError as error:
            objection = error.strerror or type(error).__name__
        with contextlib.suppress(RuntimeError):  # the loop ended before the mount answered
            loop.call_soon_threadsafe(tell, objection)

    threading.Thread(target=look, name="cvmfs-probe", daemon=True).start()
    try:
        return await asyncio.wait_for(answer, timeout_seconds)
    except asyncio.TimeoutError:
        return f"no answer in {timeout_seconds:g} s"


def _is_mounted(rules: CvmfsRules, repository: str) -> bool:
    """Without a look that could hang: an autofs directory is there before it is mounted."""
    return Path(rules.path, repository).is_dir()
