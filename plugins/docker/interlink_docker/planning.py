"""What a pod becomes on the engine, without a look at the disk or the engine: what `interlink-plugin translate` shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interlink_common.model.workload import Container, Workload
from interlink_docker import labels
from interlink_docker.images import reference
from interlink_docker.locations import HostDirectory, locations
from interlink_docker.settings import DockerSettings
from interlink_docker.translate import AttemptSpec, Json, attempt_config, network_config, sandbox_config, termination_mount
from interlink_docker.volumes import inner_path, mount_entry


def planned(workload: Workload, settings: DockerSettings, *, as_root: bool, seccomp_profiles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Names and bodies of POST /containers/create: sandbox, network container if there is one, first attempts. Raises Refused."""
    sandbox_image = planned_image(settings.sandbox.image, settings)
    sandbox = sandbox_config(workload, locations(workload, settings, as_root=as_root), settings, sandbox_image)
    found = [{"name": labels.sandbox_name(workload.uid), **sandbox}]
    if workload.network.has_scripts and settings.network.image:
        network = network_config(workload, settings, planned_image(settings.network.image, settings))
        found.append({"name": labels.network_name(workload.uid), **network})
    for container in workload.all_containers:
        spec = AttemptSpec(
            workload,
            container,
            attempt=0,
            image=planned_image(container.image, settings),
            mounts=tuple(planned_mounts(workload, container, settings, as_root=as_root)),
            seccomp_profile=seccomp_profiles.get(container.security.seccomp_profile, ""),
        )
        found.append({"name": labels.container_name(workload.uid, container.name, 0), **attempt_config(spec, settings)})
    return found


def planned_image(image: str, settings: DockerSettings) -> str:
    """The name after the mirror map; one that is none stays, and fails as InvalidImageName when it is to be pulled."""
    try:
        return str(reference(image, settings.images))
    except ValueError:
        return image


def planned_mounts(workload: Workload, container: Container, settings: DockerSettings, *, as_root: bool) -> list[Json]:
    """The mounts of a container, without a look at the disk or the engine. Raises Refused."""
    where = locations(workload, settings, as_root=as_root)
    planned = []
    for mount in container.mounts:
        location = where[mount.volume]
        inner = inner_path(location, mount)
        source = str(Path(location.path) / inner) if isinstance(location, HostDirectory) else ""
        planned.append(mount_entry(workload, mount, location, settings, source=source, sub_path="" if source else inner))
    return [*planned, termination_mount(workload, container, 0, settings)]
