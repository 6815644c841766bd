"""What the operator does not let a pod do here, each as Refused that names the field and the setting. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from interlink_common.batchsystem.settings import RunnerSettings
from interlink_common.errors import Refused
from interlink_common.model.images import in_directories, mapped
from interlink_common.model.patterns import best
from interlink_common.model.site import NotOffered, host_path, storage
from interlink_common.model.workload import Container, ExternalVolume, HostPathVolume, Volume, Workload


def require_allowed(workload: Workload, runner: RunnerSettings) -> None:
    """Raises Refused with the first objection."""
    for volume in workload.volumes:
        for objection in volume_objections(workload, volume, runner):
            raise Refused(f"volume {volume.name}: {objection}")
    for container in workload.all_containers:
        for objection in container_objections(container, runner):
            raise Refused(f"container {container.name}: {objection}")


def require_tenant(namespace: str, tenants: Mapping[str, object]) -> None:
    """Raises Refused for a namespace that the operator did not name."""
    if best(tenants, namespace) is None:
        raise Refused(f"metadata.namespace {namespace} is not served here; the operator can add it to the setting tenants")


def volume_objections(workload: Workload, volume: Volume, runner: RunnerSettings) -> Iterator[str]:
    try:
        if isinstance(volume, HostPathVolume):
            host_path(volume.path, runner.host_path_allow)
        elif isinstance(volume, ExternalVolume):
            storage(volume, workload.namespace, runner)
    except NotOffered as refusal:
        yield refusal.remedy("runner")


def container_objections(container: Container, runner: RunnerSettings) -> Iterator[str]:
    security = container.security
    if security.privileged and not runner.allow_privileged:
        yield denied("securityContext.privileged", "allow_privileged")
    if (security.run_as_user is not None or security.run_as_group is not None) and not runner.allow_run_as:
        yield denied("securityContext.runAsUser and runAsGroup", "allow_run_as")
    by_path = container.image.startswith("/") and mapped(container.image, runner.images) is None
    if by_path and not in_directories(container.image, runner.image_directories):
        yield denied(f"image {container.image}", "image_directories")


def denied(field: str, setting: str) -> str:
    return f"{field} is not allowed on this node; the operator can allow it with runner.{setting}"
