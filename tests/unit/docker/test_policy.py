"""What the operator does not allow is refused by name; what they allow passes."""

from __future__ import annotations

from typing import Any

import pytest

from interlink_common.errors import Refused
from interlink_common.model.workload import (
    Container,
    ExternalVolume,
    FilesVolume,
    HostPathVolume,
    Mount,
    Network,
    Port,
    Security,
    Volume,
    Workload,
)
from interlink_docker.locations import locate
from interlink_docker.policy import image_user_objection, require_allowed
from tests.unit.docker.pods import MAIN, pod, settings


def secured(**fields: Any) -> Workload:
    return pod(Container(name="main", image="i", security=Security(**fields)))


REFUSED: list[tuple[Workload, str, dict[str, Any]]] = [
    (pod(host_network=True), "spec.hostNetwork", {"allow_host_network": True}),
    (pod(host_pid=True), "spec.hostPID", {"allow_host_pid": True}),
    (pod(host_ipc=True), "spec.hostIPC", {"allow_host_ipc": True}),
    (pod(sysctls={"kernel.msgmax": "1"}), "sysctls kernel.msgmax", {"allow_sysctls": ["kernel.msg*"]}),
    (secured(privileged=True), "privileged", {"allow_privileged": True}),
    (secured(capabilities_add=("SYS_ADMIN",)), "capabilities.add SYS_ADMIN", {"allow_capabilities": ["SYS_ADMIN"]}),
    (secured(seccomp_type="Unconfined"), "seccompProfile.type Unconfined", {"allow_seccomp_unconfined": True}),
    (secured(seccomp_type="Localhost", seccomp_profile="p"), "localhostProfile p", {"seccomp_profiles": {"p": "/p.json"}}),
    (secured(apparmor_profile="localhost/p"), "appArmorProfile p", {"apparmor_profiles": ["p"]}),
]


@pytest.mark.parametrize(("workload", "field", "allowing"), REFUSED, ids=[field for _, field, _ in REFUSED])
def test_denied_unless_allowed(workload: Workload, field: str, allowing: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"security\.") as refused:
        require_allowed(workload, settings(), as_root=True)
    assert field in str(refused.value)
    assert not set("<>&\"'\n") & set(str(refused.value))
    require_allowed(workload, settings(security=allowing), as_root=True)


@pytest.mark.parametrize(
    ("workload", "denying", "field"),
    [
        (secured(run_as_user=0), {"allow_root": False}, "runAsUser 0"),
        (pod(Container(name="m", image="i", ports=(Port(1, host_port=1),))), {"allow_host_ports": False}, "hostPort"),
    ],
)
def test_allowed_unless_denied(workload: Workload, denying: dict[str, Any], field: str) -> None:
    require_allowed(workload, settings(), as_root=True)
    with pytest.raises(Refused, match=field):
        require_allowed(workload, settings(security=denying), as_root=True)


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (secured(run_as_user=0, run_as_non_root=True), "contradicts"),
        (pod(host_network=True, network=Network(tunnel_commands="x")), "network scripts"),
        (pod(host_network=True, sysctls={"net.ipv4.tcp_syncookies": "1"}), "together with spec.hostNetwork"),
        (pod(Container(name="m", image="oras://x/y")), "Docker image"),
        (pod(Container(name="m", image="/cvmfs/unpacked.example.org/x")), "Docker image"),
        (Workload("../../etc", "n", "ns", (MAIN,)), "metadata.uid"),
        (Workload("", "n", "ns", (MAIN,)), "metadata.uid"),
    ],
)
def test_always_refused(workload: Workload, words: str) -> None:
    with pytest.raises(Refused, match=words):
        require_allowed(workload, settings(security={"allow_host_network": True}, network={"image": "tools"}), as_root=True)


def test_bidirectional_needs_the_operator_and_privileged() -> None:
    mounts = (Mount("v", "/m", propagation="Bidirectional"),)
    plain = pod(Container(name="m", image="i", mounts=mounts))
    with pytest.raises(Refused, match="allow_bidirectional_mounts"):
        require_allowed(plain, settings(), as_root=True)
    allowing = settings(security={"allow_bidirectional_mounts": True, "allow_privileged": True})
    with pytest.raises(Refused, match=r"needs securityContext\.privileged"):
        require_allowed(plain, allowing, as_root=True)
    require_allowed(pod(Container(name="m", image="i", mounts=mounts, security=Security(privileged=True))), allowing, as_root=True)


def test_fs_group_on_files_needs_root() -> None:
    workload = pod(fs_group=5, volumes=(FilesVolume("v"),))
    require_allowed(workload, settings(), as_root=True)
    with pytest.raises(Refused, match="fsGroup"):
        require_allowed(workload, settings(), as_root=False)


@pytest.mark.parametrize(
    ("volume", "words"),
    [
        (HostPathVolume("v", "/etc"), "host_path_allow"),
        (HostPathVolume("v", "/data/../etc"), "host_path_allow"),
        (HostPathVolume("v", "data"), "host_path_allow"),
        (HostPathVolume("v", "/database"), "host_path_allow"),
        (ExternalVolume("v", "persistentVolumeClaim", "other"), r"volumes\.claims"),
        (ExternalVolume("v", "persistentVolumeClaim", "claim-.."), "cannot be part of a path"),
        (ExternalVolume("v", "persistentVolumeClaim", "interlink-x-work"), "a name that volumes of pods have here"),
        (ExternalVolume("v", "nfs", "s:/x"), r"volumes\.nfs"),
        (ExternalVolume("v", "csi", "d"), r"volumes\.csi"),
    ],
)
def test_volumes_outside_the_maps(volume: Volume, words: str) -> None:
    with pytest.raises(Refused, match=words):
        locate(
            pod(),
            volume,
            settings(
                volumes={
                    "host_path_allow": ["/data"],
                    "claims": {"home": "/srv", "claim-{user}": "/home/{user}", "interlink-{x}": "interlink-{x}"},
                }
            ),
            as_root=True,
        )


@pytest.mark.parametrize(
    ("fields", "image_user", "allow_root", "words"),
    [
        ({}, "", True, ""),
        ({"run_as_non_root": True}, "1000:0", True, ""),
        ({"run_as_non_root": True}, "", True, "runs as root"),
        ({"run_as_non_root": True}, "0:5", True, "runs as root"),
        ({"run_as_non_root": True}, "app", True, "non-numeric user app"),
        ({}, "root", False, "runs as root"),
        ({"run_as_non_root": True, "run_as_user": 5}, "", False, ""),
    ],
)
def test_user_of_the_image(fields: dict[str, Any], image_user: str, allow_root: bool, words: str) -> None:
    found = image_user_objection(Security(**fields), image_user, settings(security={"allow_root": allow_root}))
    assert words in found
    assert bool(words) == bool(found)
