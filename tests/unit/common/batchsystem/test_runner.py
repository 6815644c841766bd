"""What the operator lets a pod do on a worker node, and the options that podrunner gets of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from interlink_common.batchsystem.policy import require_allowed
from interlink_common.batchsystem.runner import runner_config
from interlink_common.batchsystem.settings import CvmfsSettings, RunnerSettings
from interlink_common.errors import Refused
from interlink_common.model.codec import decode, encode
from interlink_common.model.site import NotOffered, Storage, host_path, storage
from interlink_common.model.workload import Container, ExternalVolume, HostPathVolume, Mount, Security, Volume, Workload
from interlink_common.podrunner.config import RunnerConfig, StreamRules


def a_pod(*containers: Container, volumes: tuple[Volume, ...] = ()) -> Workload:
    return Workload("uid", "p", "default", containers or (Container("main", "busybox:1.36"),), volumes=volumes)


def test_the_options_of_podrunner_are_the_operators() -> None:
    given: dict[str, Any] = {
        "runtimes": ["podman"], "programs": {"podman": "/p"}, "node_environment": ["X"], "images": {"busybox": "/b"},
        "image_directories": ["/i"], "image_cache": "/c", "insecure_registries": ["r:1"], "host_path_allow": ["/h:ro"],
        "claims": {"ns/data": "/data"}, "nfs": {"s:/x": "/x"}, "csi": {"d": "/d"},
        "allow_mesh": True, "allow_run_as": True, "allow_privileged": True, "stop_seconds": 7.0,
    }  # fmt: skip
    assert set(given) == set(RunnerSettings.model_fields) - {"pythons", "log_bytes"}
    cvmfs = CvmfsSettings(path="/mnt", probe_timeout_seconds=3, cvmfsexec="/exec")
    made = runner_config(RunnerSettings(**given, log_bytes=9), cvmfs, StreamRules("chirp", window_bytes=2**20))
    for name, value in given.items():
        assert getattr(made, name) == (tuple(value) if isinstance(value, list) else value), name
    assert vars(made.cvmfs) == cvmfs.model_dump()
    assert made.stream == StreamRules("chirp", log_bytes=9, window_bytes=2**20)


@pytest.mark.parametrize(
    ("pod", "setting", "groups"),
    [
        (a_pod(volumes=(HostPathVolume("v", "/data/x"),)), "host_path_allow", {"host_path_allow": ["/data:ro"]}),
        (a_pod(volumes=(HostPathVolume("v", "/data/../etc"),)), "host_path_allow", None),
        (a_pod(volumes=(HostPathVolume("v", "/database"),)), "host_path_allow", None),
        (a_pod(volumes=(ExternalVolume("v", "persistentVolumeClaim", "c"),)), "claims", {"claims": {"default/c": "/c"}}),
        (a_pod(volumes=(ExternalVolume("v", "persistentVolumeClaim", "claim-bob"),)), "claims", {"claims": {"claim-{u}": "/home/{u}"}}),
        (a_pod(volumes=(ExternalVolume("v", "nfs", "s:/x/y"),)), "nfs", {"nfs": {"s:/x": "/c"}}),
        (a_pod(volumes=(ExternalVolume("v", "csi", "d.example"),)), "csi", {"csi": {"default/*": "/c"}}),
        (a_pod(Container("main", "i", security=Security(privileged=True))), "allow_privileged", {"allow_privileged": True}),
        (a_pod(Container("main", "i", security=Security(run_as_user=7))), "allow_run_as", {"allow_run_as": True}),
        (a_pod(Container("main", "/etc/image")), "image_directories", {"image_directories": ["/etc"]}),
        (a_pod(Container("main", "/etc/image")), "image_directories", {"images": {"/etc/image": "/srv/image.sif"}}),
        (a_pod(Container("main", "/cvmfs/unpacked.cern.ch/../../etc")), "image_directories", None),
        (a_pod(Container("main", "/cvmfs/unpacked.cern.ch")), "image_directories", None),
    ],
)
def test_policy(pod: Workload, setting: str, groups: dict[str, Any] | None) -> None:
    with pytest.raises(Refused, match=rf"runner\.{setting}"):
        require_allowed(pod, RunnerSettings(host_path_allow=["/data"] if setting == "host_path_allow" and groups is None else []))
    if groups is not None:
        require_allowed(pod, RunnerSettings(**groups))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"claims": {"data": "srv/data"}}, "claims\n.*data must map to an absolute path on the node"),
        ({"claims": {"claim-{user}": "/home/{name}"}}, r"\{name\}, which the key does not have"),
        ({"csi": {"": "/x"}}, "a key is empty"),
        ({"nfs": {"/export": "/x"}}, "is not server:/path"),
        ({"host_path_allow": ["data"]}, "must hold absolute paths"),
        ({"image_directories": ["/images:ro"]}, "must hold absolute paths"),
        ({"images": {"busybox": ""}}, "busybox must be an image name"),
    ],
)
def test_maps_that_can_not_be_meant_are_refused_at_the_start(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        RunnerSettings(**settings)


NAMES = ["data", "a", "claim-a", "claim-..", "claim-b"]
KEYS = ["data", "a", "*", "claim-*", "claim-{u}", "{u}", "team-a/data", "team-a/*", "team-*/{u}", "{n}/claim-{u}"]
EXPORTS = ["s:/x", "S:/x", "s:/x/y", "s:/x/y/z", "s:/xx", "t:/x", "s://x//y/", "s:/x/../y"]
EXPORT_KEYS = ["s:/x", "s:/x/y", "s:/", "team-a/s:/x", "team-*/s:/x/y"]
PATHS = ["/x", "/x/y", "/xx", "/x/../etc", "//x", "/x/y/z", "x"]


def volumes() -> st.SearchStrategy[Volume]:
    return st.one_of(
        st.builds(ExternalVolume, st.just("it"), st.just("persistentVolumeClaim"), st.sampled_from(NAMES)),
        st.builds(ExternalVolume, st.just("it"), st.just("csi"), st.sampled_from(NAMES)),
        st.builds(ExternalVolume, st.just("it"), st.just("nfs"), st.sampled_from(EXPORTS)),
        st.builds(HostPathVolume, st.just("it"), st.sampled_from(PATHS)),
    )


def targets(keys: list[str]) -> st.SearchStrategy[dict[str, str]]:
    """Each key has a place of its own, so that a mix-up shows."""
    return st.lists(st.sampled_from(keys), unique=True).map(lambda found: {key: f"/of-{number}" for number, key in enumerate(found)})


@given(
    volumes(),
    st.sampled_from(["team-a", "team-b", "other"]),
    st.builds(
        RunnerSettings,
        claims=targets(KEYS),
        csi=targets(KEYS),
        nfs=targets(EXPORT_KEYS),
        host_path_allow=st.lists(st.sampled_from(["/x", "/x:ro", "/x/y", "/x/y:ro", "/"])),
    ),
)
def test_what_is_admitted_is_what_podrunner_finds(volume: Volume, namespace: str, runner: RunnerSettings) -> None:
    pod = Workload("uid", "p", namespace, (Container("main", "i", mounts=(Mount("it", "/it"),)),), volumes=(volume,))
    config = runner_config(runner, CvmfsSettings(), StreamRules())
    travelled = decode(json.loads(json.dumps(encode(config, RunnerConfig), sort_keys=True)), RunnerConfig)
    try:
        require_allowed(pod, runner)
    except Refused:
        with pytest.raises(NotOffered):
            offered(volume, namespace, travelled)
    else:
        assert offered(volume, namespace, travelled) == offered(volume, namespace, runner)


def offered(volume: Volume, namespace: str, maps: RunnerSettings | RunnerConfig) -> Storage | bool:
    if isinstance(volume, ExternalVolume):
        return storage(volume, namespace, maps)
    assert isinstance(volume, HostPathVolume)
    return host_path(volume.path, maps.host_path_allow)
