"""How long an attempt of a container waits for CernVM-FS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from interlink_common.agent.cvmfs import what_is_missing
from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import CvmfsVolume
from interlink_docker.files import FAILED_MOUNT
from interlink_docker.settings import CvmfsSettings


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
        """Looks into what the volume needs. Raises StartError if something is missing.

        FailedMount: it is tried again; RunContainerError, after `cvmfs.give_up_seconds`: the attempt is spent.
        """
        missing = await what_is_missing(volume, str(self._settings.path), self._settings.probe_timeout_seconds)
        if missing:
            self._object(wanted, missing)
        self._missing_since.pop(wanted, None)

    def _object(self, wanted: Wanted, message: str) -> NoReturn:
        now, limit = self._clock(), self._settings.give_up_seconds
        if now - self._missing_since.setdefault(wanted, now) < limit:
            raise StartError(FAILED_MOUNT, message)
        del self._missing_since[wanted]
        raise StartError("RunContainerError", f"{message}; given up after {limit:g} s")

    def forget(self, pod_uid: str) -> None:
        self._missing_since = {wanted: since for wanted, since in self._missing_since.items() if wanted.pod_uid != pod_uid}
