"""Which of the job's devices a container sees: the batch system names those of the job in variables, each container gets its share."""

from __future__ import annotations

from collections.abc import Mapping

from interlink_common.model.workload import Container, Workload

VARIABLES = {
    "nvidia.com/": ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"),
    "amd.com/gpu": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"),
}

NONE = {"CUDA_VISIBLE_DEVICES": "", "NVIDIA_VISIBLE_DEVICES": "void"}
"""For a container that asked for none: without a container runtime the job's devices are there for everybody, and these hide them."""


def device_environment(workload: Workload, container: Container, node: Mapping[str, str]) -> dict[str, str]:
    """The variables of the container. Init containers run before the others, and share theirs with them, as in Kubernetes."""
    found: dict[str, str] = {}
    for kind, names in VARIABLES.items():
        wanted = count(container, kind)
        if not wanted:
            found |= {name: none for name, none in NONE.items() if name in node and name in names}
            continue
        before = (
            0
            if container in workload.init_containers and not container.sidecar
            else sum(count(c, kind) for c in _earlier(workload, container))
        )
        for name in names:
            if name in node:
                devices = [device for device in node[name].split(",") if device]
                found[name] = ",".join(devices[before : before + wanted])
    return found


def count(container: Container, kind: str) -> int:
    """How many devices of that kind it is given."""
    return sum(number for name, number in container.limits.devices.items() if name.startswith(kind))


def _earlier(workload: Workload, container: Container) -> tuple[Container, ...]:
    lasting = (*workload.sidecars, *workload.containers)
    return lasting[: lasting.index(container)]
