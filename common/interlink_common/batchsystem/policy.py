"""What the operator does not let a pod do here, each as Refused that names the field and the setting. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from interlink_common.batchsystem.settings import RunnerSettings
from interlink_common.errors import Refused
from interlink_common.model.workload import Container, ExternalVolume, HostPathVolume, Volume, Workload


def require_allowed(pod: Workload, runner: RunnerSettings) -> None:
    """Raises Refused with the first objection."""
    for volume in pod.volumes:
        for objection in volume_objections(pod, volume, runner):
            raise Refused(f"volume {volume.name}: {objection}")
    for container in pod.all_containers:
        for objection in container_objections(container, runner):
            raise Refused(f"container {container.name}: {objection}")


def volume_objections(pod: Workload, volume: Volume, runner: RunnerSettings) -> Iterator[str]:
    if isinstance(volume, HostPathVolume) and not any(_below(volume.path, entry) for entry in runner.host_path_allow):
        yield denied(f"hostPath {volume.path}", "host_path_allow")
    if isinstance(volume, ExternalVolume):
        maps = {"persistentVolumeClaim": ("claims", runner.claims), "nfs": ("nfs", runner.nfs), "csi": ("csi", runner.csi)}
        name, known = maps.get(volume.kind, ("", {}))
        if volume.key not in known and f"{pod.namespace}/{volume.key}" not in known:
            yield denied(f"{volume.kind} {volume.key}", name or "claims")


def container_objections(container: Container, runner: RunnerSettings) -> Iterator[str]:
    security = container.security
    if security.privileged and not runner.allow_privileged:
        yield denied("securityContext.privileged", "allow_privileged")
    if (security.run_as_user is not None or security.run_as_group is not None) and not runner.allow_run_as:
        yield denied("securityContext.runAsUser and runAsGroup", "allow_run_as")
    if container.image.startswith("/") and not any(_below(container.image, entry) for entry in runner.image_directories):
        yield denied(f"image {container.image}", "image_directories")


def denied(field: str, setting: str) -> str:
    return f"{field} is not allowed on this node; the operator can allow it with runner.{setting}"


def _below(path: str, entry: str) -> bool:
    """Whether a path is in an allowed directory, by name alone; podrunner looks at the links on the node."""
    allowed = PurePosixPath(entry.removesuffix(":ro"))
    return ".." not in PurePosixPath(path).parts and PurePosixPath(path).is_relative_to(allowed)
