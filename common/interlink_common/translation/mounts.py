"""volumeMounts of a container: paths checked, subPathExpr expanded, read-only where the volume is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interlink_common.contract.containers import VolumeMount
from interlink_common.model.workload import CvmfsVolume, ExternalVolume, FilesVolume, Mount, Volume
from interlink_common.translation.checks import absolute, check_unique, inside, invalid
from interlink_common.translation.expansion import expand

_PROPAGATION = {"": "", "None": "", "HostToContainer": "HostToContainer", "Bidirectional": "Bidirectional"}


def mounts(
    sources: Sequence[VolumeMount], volumes: Mapping[str, Volume], env: Mapping[str, str], *, privileged: bool, where: str
) -> tuple[Mount, ...]:
    """The mounts of one container, in its order. Raises BadRequest."""
    made = tuple(_mount(source, volumes, env, privileged, f"{where}.volumeMounts[{i}]") for i, source in enumerate(sources))
    check_unique((mount.path for mount in made), f"{where}.volumeMounts", "mount paths")
    return made


def _mount(source: VolumeMount, volumes: Mapping[str, Volume], env: Mapping[str, str], privileged: bool, where: str) -> Mount:
    volume = volumes.get(source.name)
    if volume is None:
        raise invalid(f"{where}.name", "names no volume of the pod")
    path = absolute("/" + source.mount_path if source.mount_path else "", f"{where}.mountPath")
    if path == "/" or ":" in path:
        raise invalid(f"{where}.mountPath", "must not be the root directory or contain a colon")
    propagation = _PROPAGATION.get(source.mount_propagation or "")
    if propagation is None or (propagation == "Bidirectional" and not privileged):
        raise invalid(f"{where}.mountPropagation", "must be None, HostToContainer, or in a privileged container Bidirectional")
    return Mount(
        volume=source.name,
        path=path,
        read_only=bool(source.read_only) or _is_read_only(volume),
        sub_path=_sub_path(source, env, where),
        propagation=propagation,
    )


def _is_read_only(volume: Volume) -> bool:
    """Kubernetes mounts files volumes read-only whatever the mount says; CVMFS is read-only by nature."""
    return isinstance(volume, FilesVolume | CvmfsVolume) or (isinstance(volume, ExternalVolume) and volume.read_only)


def _sub_path(source: VolumeMount, env: Mapping[str, str], where: str) -> str:
    if source.sub_path and source.sub_path_expr:
        raise invalid(f"{where}.subPathExpr", "must not be set together with subPath")
    if source.sub_path_expr:

        def missing(_name: str) -> str:
            raise invalid(f"{where}.subPathExpr", "names a variable that the container does not have")

        return inside(expand(source.sub_path_expr, env, f"{where}.subPathExpr", missing=missing), f"{where}.subPathExpr")
    return inside(source.sub_path, f"{where}.subPath") if source.sub_path and source.sub_path != "." else ""
