"""A missing CVMFS repository: a waiting reason while there is hope, then a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import CvmfsVolume
from interlink_docker.cvmfs import Probes, Wanted
from interlink_docker.settings import CvmfsSettings

VOLUME = CvmfsVolume("c", ("atlas.example.org",))
FIRST, SECOND = Wanted("uid", "main", 0, "c"), Wanted("uid", "main", 1, "c")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def reason(probes: Probes, wanted: Wanted) -> str:
    with pytest.raises(StartError, match=r"atlas\.example\.org") as missing:
        await probes.require(VOLUME, wanted)
    return missing.value.reason


async def test_an_attempt_is_spent_when_its_time_is_over(tmp_path: Path) -> None:
    clock = Clock()
    probes = Probes(CvmfsSettings(path=tmp_path, give_up_seconds=300), clock)
    told = []
    for clock.now in (0.0, 299.0, 300.0):
        told.append(await reason(probes, FIRST))
    assert told == ["FailedMount", "FailedMount", "RunContainerError"]
    assert await reason(probes, SECOND) == "FailedMount"


async def test_the_time_begins_anew_when_the_repository_was_there(tmp_path: Path) -> None:
    clock = Clock()
    probes = Probes(CvmfsSettings(path=tmp_path, give_up_seconds=300), clock)
    assert await reason(probes, FIRST) == "FailedMount"
    (tmp_path / "atlas.example.org" / "release").mkdir(parents=True)
    await probes.require(VOLUME, FIRST)
    (tmp_path / "atlas.example.org" / "release").rmdir()
    clock.now = 300.0
    assert await reason(probes, FIRST) == "FailedMount"


async def test_a_removed_pod_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    probes = Probes(CvmfsSettings(path=tmp_path, give_up_seconds=300), clock)
    await reason(probes, FIRST)
    probes.forget("uid")
    clock.now = 300.0
    assert await reason(probes, FIRST) == "FailedMount"
