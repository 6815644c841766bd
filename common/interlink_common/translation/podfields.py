"""Fields and annotations of the pod that belong to no container: lifetime, network, DNS, hosts file, placement."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from interlink_common.contract.pod import Pod, PodSpec
from interlink_common.model.workload import ALWAYS, NEVER, ON_FAILURE, Controller, Dns, Network, Placement
from interlink_common.translation.checks import bounded, check_address, check_label, check_subdomain, check_text, invalid

_MAX_SECONDS = 2**31 - 1
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_DNS_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})\.?|\.")
_DNS_OPTION = re.compile(r"[!-9;-~]{1,64}")
PRE_EXEC = "slurm-job.vk.io/pre-exec"
"""Despite its name the annotation in which interLink's mesh script travels, for every plugin."""


def controller(pod: Pod) -> Controller | None:
    """Of the pod's owners the one that manages it."""
    owners = pod.metadata.owner_references or ()
    return next((Controller(owner.kind, owner.name, owner.uid) for owner in owners if owner.controller), None)


def restart_policy(spec: PodSpec) -> str:
    """Always if not set. Raises BadRequest."""
    policy = spec.restart_policy or ALWAYS
    if policy not in (ALWAYS, ON_FAILURE, NEVER):
        raise invalid("pod.spec.restartPolicy", "must be Always, OnFailure or Never")
    return policy


def grace_seconds(spec: PodSpec) -> int:
    """30 if not set. Raises BadRequest."""
    seconds = spec.termination_grace_period_seconds
    return 30 if seconds is None else bounded(seconds, 0, _MAX_SECONDS, "pod.spec.terminationGracePeriodSeconds")


def active_deadline_seconds(spec: PodSpec) -> int | None:
    """Raises BadRequest."""
    seconds = spec.active_deadline_seconds
    return None if seconds is None else bounded(seconds, 1, _MAX_SECONDS, "pod.spec.activeDeadlineSeconds")


def hostname(spec: PodSpec, pod_name: str) -> str:
    """`spec.hostname`, else the pod's name cut to 63 characters as the kubelet cuts it. Raises BadRequest."""
    return check_label(spec.hostname, "pod.spec.hostname") if spec.hostname else pod_name[:63].rstrip("-.")


def host_aliases(spec: PodSpec) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(address, names) for the hosts file. Raises BadRequest."""
    return tuple(
        (
            check_address(alias.ip, f"pod.spec.hostAliases[{i}].ip"),
            tuple(check_subdomain(name, f"pod.spec.hostAliases[{i}].hostnames") for name in alias.hostnames or ()),
        )
        for i, alias in enumerate(spec.host_aliases or ())
    )


def dns(spec: PodSpec) -> Dns:
    """dnsPolicy and dnsConfig. Raises BadRequest for what could forge a line of resolv.conf."""
    policy = spec.dns_policy or "ClusterFirst"
    if policy not in _DNS_POLICIES:
        raise invalid("pod.spec.dnsPolicy", f"must be one of {', '.join(_DNS_POLICIES)}")
    config = spec.dns_config
    if config is None:
        return Dns(policy)
    for search in config.searches or ():
        if not _DNS_NAME.fullmatch(search):
            raise invalid("pod.spec.dnsConfig.searches", "must hold domain names")
    options = tuple(f"{o.name}:{o.value}" if o.value is not None else o.name for o in config.options or ())
    for option in config.options or ():
        if not _DNS_OPTION.fullmatch(option.name) or (option.value and not _DNS_OPTION.fullmatch(option.value)):
            raise invalid("pod.spec.dnsConfig.options", "must hold names and values without spaces or colons")
    nameservers = tuple(check_address(server, "pod.spec.dnsConfig.nameservers") for server in config.nameservers or ())
    return Dns(policy, nameservers, tuple(config.searches or ()), options)


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


def placement(spec: PodSpec) -> Placement:
    """What the virtual cluster's scheduler was told."""
    return Placement(
        node_selector=dict(spec.node_selector or {}),
        affinity_json=_canonical(spec.affinity),
        tolerations_json=_canonical(spec.tolerations),
        priority_class=spec.priority_class_name or "",
        runtime_class=spec.runtime_class_name or "",
    )


def not_offloaded(annotations: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Container names in an annotation `interlink.eu/disable-offload-...`, comma-separated. Raises BadRequest."""
    names = (part.strip() for part in annotations.get(name, "").split(","))
    return tuple(dict.fromkeys(check_label(part, f"pod.metadata.annotations.{name}") for part in names if part))


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":")) if value else ""
