"""What the operator lets a pod do on a worker node, and the options that podrunner gets of it."""

from __future__ import annotations

from typing import Any

import pytest

from interlink_common.batchsystem.policy import require_allowed
from interlink_common.batchsystem.runner import runner_config
from interlink_common.batchsystem.settings import CvmfsSettings, RunnerSettings
from interlink_common.errors import Refused
from interlink_common.model.workload import Container, ExternalVolume, HostPathVolume, Security, Volume, Workload
from interlink_common.podrunner.config import StreamRules


def a_pod(*containers: Container, volumes: tuple[Volume, ...] = ()) -> Workload:
    return Workload("uid", "p", "default", containers or (Container("main", "busybox:1.36"),), volumes=volumes)


def test_the_options_of_podrunner_are_the_operators() -> None:
    runner = RunnerSettings(claims={"data": "/data"}, nfs={"s:/x": "/x"}, images={"busybox": "/b"}, stop_seconds=7, log_bytes=9)
    made = runner_config(runner, CvmfsSettings(path="/mnt"), StreamRules("chirp", window_bytes=2**20))
    assert made.volumes.external == {"persistentVolumeClaim/data": "/data", "nfs/s:/x": "/x"}
    assert (made.images.sites, made.stop_seconds, made.cvmfs.path) == ({"busybox": "/b"}, 7, "/mnt")
    assert made.stream == StreamRules("chirp", log_bytes=9, window_bytes=2**20)


@pytest.mark.parametrize(
    ("pod", "setting", "groups"),
    [
        (a_pod(volumes=(HostPathVolume("v", "/data/x"),)), "host_path_allow", {"host_path_allow": ["/data:ro"]}),
        (a_pod(volumes=(HostPathVolume("v", "/data/../etc"),)), "host_path_allow", None),
        (a_pod(volumes=(ExternalVolume("v", "persistentVolumeClaim", "c"),)), "claims", {"claims": {"default/c": "/c"}}),
        (a_pod(volumes=(ExternalVolume("v", "nfs", "s:/x"),)), "nfs", {"nfs": {"s:/x": "/c"}}),
        (a_pod(Container("main", "i", security=Security(privileged=True))), "allow_privileged", {"allow_privileged": True}),
        (a_pod(Container("main", "i", security=Security(run_as_user=7))), "allow_run_as", {"allow_run_as": True}),
        (a_pod(Container("main", "/etc/image")), "image_directories", {"image_directories": ["/etc"]}),
        (a_pod(Container("main", "/cvmfs/unpacked.cern.ch/../../etc")), "image_directories", None),
    ],
)
def test_policy(pod: Workload, setting: str, groups: dict[str, Any] | None) -> None:
    with pytest.raises(Refused, match=rf"runner\.{setting}"):
        require_allowed(pod, RunnerSettings(host_path_allow=["/data"] if setting == "host_path_allow" and groups is None else []))
    if groups is not None:
        require_allowed(pod, RunnerSettings(**groups))
