"""interLink's networking annotations. The mesh script travels in `slurm-job.vk.io/pre-exec` for every plugin, despite its name."""

from __future__ import annotations

from collections.abc import Mapping

from interlink_common.workload.model import Network
from interlink_common.workload.names import check_text


def network(annotations: Mapping[str, str]) -> Network:
    """What the annotations ask for. Raises BadRequest for a NUL character."""

    def text(name: str) -> str:
        return check_text(annotations.get(name, ""), f"pod.metadata.annotations.{name}")

    return Network(
        mesh_script=text("slurm-job.vk.io/pre-exec"),
        tunnel_commands=text("interlink.eu/wstunnel-client-commands"),
        pod_ip=text("interlink.eu/pod-ip"),
        pod_subnet=text("interlink.eu/pod-subnet"),
        wireguard_snippet=text("interlink.eu/wireguard-client-snippet"),
        mesh_disabled=text("interlink.eu/mesh-network").strip().lower() == "disabled",
    )
