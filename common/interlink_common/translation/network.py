"""interLink's networking annotations. The mesh script travels in `slurm-job.vk.io/pre-exec` for every plugin, despite its name."""

from __future__ import annotations

from collections.abc import Mapping

from interlink_common.model.workload import Network
from interlink_common.translation.names import check_text

PRE_EXEC = "slurm-job.vk.io/pre-exec"


def network(annotations: Mapping[str, str]) -> Network:
    """What the annotations ask for. Raises BadRequest for a NUL character.

    The mesh script of a pod whose mesh is disabled is a stale one: the virtual kubelet leaves it there.
    """

    def text(name: str) -> str:
        return check_text(annotations.get(name, ""), f"pod.metadata.annotations.{name}")

    pre_exec = text(PRE_EXEC)
    disabled = text("interlink.eu/mesh-network").strip().lower() == "disabled"
    return Network(
        mesh_script=pre_exec if writes_mesh(pre_exec) and not disabled else "",
        tunnel_commands=text("interlink.eu/wstunnel-client-commands"),
        pod_ip=text("interlink.eu/pod-ip"),
        pod_subnet=text("interlink.eu/pod-subnet"),
        wireguard_snippet=text("interlink.eu/wireguard-client-snippet"),
        mesh_disabled=disabled,
    )


def writes_mesh(pre_exec: str) -> bool:
    """Whether it is interLink's: a heredoc into $TMPDIR/mesh.sh, before whatever else somebody wrote for Slurm."""
    return "mesh.sh" in pre_exec
