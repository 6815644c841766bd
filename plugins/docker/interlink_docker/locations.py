"""Where each volume of a pod lives on the engine's host, by the operator's settings. Pure: nothing is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from interlink_common.errors import Refused
from interlink_common.model.site import NotOffered, host_path, storage
from interlink_common.model.workload import (
    CvmfsVolume,
    EmptyDirVolume,
    ExternalVolume,
    FilesVolume,
    HostPathVolume,
    Volume,
    Workload,
)
from interlink_docker.labels import OWN_NAME, volume_name
from interlink_docker.settings import DockerSettings


@dataclass(frozen=True)
class HostDirectory:
    """A path that the engine binds. `managed`: ours, made and removed with the pod. `below`: the place in it that the pod asks for."""

    path: str
    read_only: bool = False
    managed: bool = False
    below: str = ""


@dataclass(frozen=True)
class EngineVolume:
    """A volume of the engine by its name. `managed`: ours, made by the sandbox and removed with the pod; then `options` say how.

    `below`: the place in it that the pod asks for.
    """

    name: str
    read_only: bool = False
    managed: bool = False
    options: tuple[tuple[str, str], ...] = ()
    below: str = ""


Location = HostDirectory | EngineVolume


def pod_directory(settings: DockerSettings, uid: str) -> Path:
    """Everything of a pod on disk: volumes, termination messages, the agent's memory. Mode 0700."""
    return settings.state_dir / "pods" / uid


def volume_directory(settings: DockerSettings, uid: str, volume: str) -> Path:
    return pod_directory(settings, uid) / "volumes" / volume


def termination_file(settings: DockerSettings, uid: str, container: str, attempt: int) -> Path:
    return pod_directory(settings, uid) / "termination" / f"{container}.{attempt}"


def network_directory(settings: DockerSettings, uid: str) -> Path:
    """The scripts of the pod's network container."""
    return pod_directory(settings, uid) / "network"


def network_ready_file(settings: DockerSettings, uid: str) -> Path:
    """Empty until the mesh stands. One file and not a directory, in which the container could leave what we can't remove."""
    return pod_directory(settings, uid) / "network.ready"


def as_engine_sees(settings: DockerSettings, path: str) -> str:
    """The one place where a path of ours becomes a path of the engine's."""
    mapped = settings.volumes.engine_state_dir
    pure = PurePosixPath(path)
    if mapped is None or not pure.is_relative_to(settings.state_dir):
        return path
    return str(PurePosixPath(mapped) / pure.relative_to(settings.state_dir))


def locate(workload: Workload, volume: Volume, settings: DockerSettings, *, as_root: bool) -> Location:
    """Where this volume lives. Raises Refused, naming the volume, when no map of the operator has it.

    A disk emptyDir is a directory of ours when the plugin is root; otherwise its files, which belong to whoever wrote them, could
    not be removed by us, so the engine keeps them.
    """
    match volume:
        case FilesVolume():
            return HostDirectory(str(volume_directory(settings, workload.uid, volume.name)), read_only=True, managed=True)
        case EmptyDirVolume(in_memory=True):
            return EngineVolume(volume_name(workload.uid, volume.name), managed=True, options=tmpfs_options(workload, volume))
        case EmptyDirVolume():
            if as_root:
                return HostDirectory(str(volume_directory(settings, workload.uid, volume.name)), managed=True)
            return EngineVolume(volume_name(workload.uid, volume.name), managed=True)
        case HostPathVolume():
            try:
                return HostDirectory(volume.path, read_only=host_path(volume.path, settings.volumes.host_path_allow))
            except NotOffered as refusal:
                raise Refused(f"spec.volumes[{volume.name}].hostPath: {refusal.remedy('volumes')}") from None
        case CvmfsVolume():
            return HostDirectory(str(settings.cvmfs.path / volume.sub_path), read_only=True)
        case ExternalVolume():
            return external_location(workload, volume, settings)


def tmpfs_options(workload: Workload, volume: EmptyDirVolume) -> tuple[tuple[str, str], ...]:
    """Of the engine's local driver. Size: the smaller of sizeLimit and the pod's memory limit (Kubernetes: emptyDir, medium Memory)."""
    limits = [container.limits.memory_bytes for container in workload.containers]
    bounds = [volume.size_limit_bytes, None if None in limits else sum(limit or 0 for limit in limits)]
    size = min((bound for bound in bounds if bound), default=None)
    parts = [f"size={size}"] if size else []
    parts += ["mode=1777"] if workload.fs_group is None else ["mode=2777", f"gid={workload.fs_group}"]
    return (("type", "tmpfs"), ("device", "tmpfs"), ("o", ",".join(parts)))


def external_location(workload: Workload, volume: ExternalVolume, settings: DockerSettings) -> Location:
    try:
        found = storage(volume, workload.namespace, settings.volumes)
    except NotOffered as refusal:
        raise Refused(f"spec.volumes[{volume.name}].{volume.kind}: {refusal.remedy('volumes')}") from None
    read_only = volume.read_only or found.read_only
    if found.target.startswith("/"):
        return HostDirectory(found.target, read_only, below=found.below)
    if found.target.startswith(OWN_NAME):
        raise Refused(f"spec.volumes[{volume.name}].{volume.kind}: {volume.key} stands for a name that volumes of pods have here")
    return EngineVolume(found.target, read_only, below=found.below)


def locations(workload: Workload, settings: DockerSettings, *, as_root: bool) -> dict[str, Location]:
    """Where every volume of the pod lives, by its name. Pure. Raises Refused."""
    return {volume.name: locate(workload, volume, settings, as_root=as_root) for volume in workload.volumes}
