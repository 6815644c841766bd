"""What a pod becomes on the engine, before anything was looked at: what `interlink-plugin translate` shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlink_common.model.workload import Workload
from interlink_docker import labels
from interlink_docker.images import reference
from interlink_docker.settings import DockerSettings
from interlink_docker.translate import AttemptSpec, attempt_config, network_config, sandbox_config
from interlink_docker.volumes import locations, planned_mounts


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
