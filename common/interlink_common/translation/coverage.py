"""What of a workload a backend can't do, by its declared capabilities: a refusal or a warning for each, never silence.

Policy `strict`: a feature that the backend refuses makes the pod refused. Policy `warn`: it becomes a warning, unless the pod could not
even be started without it (volumes, devices, init containers, several containers, sub-paths).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from interlink_common.backend import Capabilities, Support
from interlink_common.contract.answers import sentence
from interlink_common.errors import Refused
from interlink_common.model.workload import (
    Container,
    CvmfsVolume,
    EmptyDirVolume,
    ExternalVolume,
    FilesVolume,
    HostPathVolume,
    Volume,
    Workload,
)


@dataclass(frozen=True)
class Finding:
    """One thing that a pod asks and does not get. `indispensable`: no policy lets the pod run without it."""

    field: str
    reason: str
    support: Support
    indispensable: bool = False


def coverage(
    workload: Workload, capabilities: Capabilities, policy: Literal["strict", "warn"], others: Iterable[Finding] = ()
) -> tuple[str, ...]:
    """Warnings for the pod's status message. `others` are findings from elsewhere, such as `unsupported_fields`.

    Raises Refused naming the first refused field and how many more there are.
    """
    found = [finding for finding in (*findings(workload, capabilities), *others) if finding.support is not Support.YES]
    fatal = [f for f in found if f.support is Support.REFUSE and (policy == "strict" or f.indispensable)]
    if fatal:
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        raise Refused(sentence(f"{fatal[0].field} {fatal[0].reason}{more}."))
    return tuple(sentence(f"{finding.field} {finding.reason}") for finding in found)


def findings(workload: Workload, capabilities: Capabilities) -> tuple[Finding, ...]:
    """Everything in `workload` that the backend does not fully support, in the order of the pod's fields."""
    containers = [*_named(workload.init_containers, "initContainers"), *_named(workload.containers, "containers")]
    return (
        *_pod(workload, capabilities),
        *(f for volume in workload.volumes for f in (*_volume(volume, capabilities), *_of_volume(workload, volume, capabilities))),
        *(f for where, container in containers for f in _container(container, where, capabilities)),
    )


def _named(containers: Iterable[Container], kind: str) -> list[tuple[str, Container]]:
    return [(f"pod.spec.{kind}[{c.name}]", c) for c in containers]


def _pod(workload: Workload, can: Capabilities) -> Iterator[Finding]:
    spec, context = "pod.spec", "pod.spec.securityContext"
    if len(workload.containers) > 1:
        yield Finding(f"{spec}.containers", "holds several containers, of which this backend runs one", can.several_containers, True)
    if any(not c.sidecar for c in workload.init_containers):
        yield Finding(f"{spec}.initContainers", "is not supported by this backend", can.init_containers, True)
    if workload.sidecars:
        yield Finding(f"{spec}.initContainers", "holds sidecars, which this backend does not support", can.sidecars, True)
    if workload.restart_policy not in can.restart_policies:
        allowed = " or ".join(sorted(can.restart_policies))
        yield Finding(f"{spec}.restartPolicy", f"must be {allowed} on this backend", Support.REFUSE)
    network = workload.network
    asked = {
        f"{spec}.activeDeadlineSeconds": (workload.active_deadline_seconds is not None, can.active_deadline),
        f"{spec}.hostNetwork": (workload.host_network, can.host_namespaces),
        f"{spec}.hostPID": (workload.host_pid, can.host_namespaces),
        f"{spec}.hostIPC": (workload.host_ipc, can.host_namespaces),
        f"{spec}.shareProcessNamespace": (workload.share_process_namespace, can.share_process_namespace),
        f"{spec}.hostAliases": (workload.host_aliases, can.host_aliases),
        f"{spec}.dnsConfig": (workload.dns.nameservers or workload.dns.searches or workload.dns.options, can.dns_config),
        f"{spec}.dnsPolicy": (workload.dns.policy not in ("ClusterFirst", "ClusterFirstWithHostNet"), can.dns_config),
        f"{spec}.imagePullSecrets": (workload.registry_credentials, can.image_pull_secrets),
        f"{spec}.runtimeClassName": (workload.placement.runtime_class, can.runtime_class),
        f"{context}.fsGroup": (workload.fs_group is not None, can.fs_group),
        f"{context}.sysctls": (workload.sysctls, can.sysctls),
        "pod.metadata.annotations.slurm-job.vk.io/pre-exec": (network.mesh_script, can.mesh_network),
        "pod.metadata.annotations.interlink.eu/wstunnel-client-commands": (network.tunnel_commands, can.mesh_network),
        "pod.metadata.annotations.interlink.eu/wireguard-client-snippet": (network.wireguard_snippet, can.mesh_network),
    }
    yield from _asked(asked)


def _volume(volume: Volume, can: Capabilities) -> Iterator[Finding]:
    where = f"pod.spec.volumes[{volume.name}]"
    if isinstance(volume, ExternalVolume):
        support = Support.YES if volume.kind in can.external_volume_kinds else Support.REFUSE
        yield Finding(f"{where}.{volume.kind}", "is a kind of volume that this backend does not support", support, True)
        return
    support = {
        FilesVolume: can.files_volumes,
        EmptyDirVolume: can.empty_dir,
        HostPathVolume: can.host_path,
        CvmfsVolume: can.cvmfs,
    }[type(volume)]
    kind = {FilesVolume: "a volume of files", EmptyDirVolume: "an emptyDir", HostPathVolume: "a hostPath", CvmfsVolume: "CVMFS"}
    yield Finding(where, f"is {kind[type(volume)]}, which this backend does not support", support, True)


def _of_volume(workload: Workload, volume: Volume, can: Capabilities) -> Iterator[Finding]:
    where = f"pod.spec.volumes[{volume.name}]"
    if isinstance(volume, EmptyDirVolume) and volume.size_limit_bytes is not None and not volume.in_memory:
        yield Finding(f"{where}.emptyDir.sizeLimit", "is not enforced by this backend", can.empty_dir_size_limit)
    if isinstance(volume, ExternalVolume) and volume.kind == "persistentVolumeClaim" and workload.fs_group is not None:
        words = "keeps its owner and modes on this backend, whatever pod.spec.securityContext.fsGroup says"
        yield Finding(f"{where}.persistentVolumeClaim", words, can.fs_group_of_claims)


def _container(container: Container, where: str, can: Capabilities) -> Iterator[Finding]:
    for name in container.limits.devices:
        if not any(fnmatchcase(name, pattern) for pattern in can.device_resources):
            yield Finding(f"{where}.resources.limits.{name}", "is a resource that this backend does not offer", Support.REFUSE, True)
    if any(mount.sub_path for mount in container.mounts):
        yield Finding(f"{where}.volumeMounts.subPath", "is not supported by this backend", can.sub_path, True)
    security, context = container.security, f"{where}.securityContext"
    storage = container.requests.ephemeral_storage_bytes is not None or container.limits.ephemeral_storage_bytes is not None
    yield from _asked(
        {
            f"{where}.startupProbe": (container.startup_probe, can.probes),
            f"{where}.readinessProbe": (container.readiness_probe, can.probes),
            f"{where}.livenessProbe": (container.liveness_probe, can.probes),
            f"{where}.lifecycle.postStart": (container.post_start, can.hooks),
            f"{where}.lifecycle.preStop": (container.pre_stop, can.hooks),
            f"{where}.volumeMounts.mountPropagation": (any(m.propagation for m in container.mounts), can.mount_propagation),
            f"{where}.resources.ephemeral-storage": (storage, can.ephemeral_storage),
            f"{where}.tty": (container.tty, can.tty),
            f"{where}.stdin": (container.stdin, can.stdin),
            f"{where}.ports.hostPort": (any(port.host_port for port in container.ports), can.host_ports),
            f"{context}.privileged": (security.privileged, can.privileged),
            f"{context}.runAsUser": (security.run_as_user is not None, can.run_as),
            f"{context}.runAsGroup": (security.run_as_group is not None, can.run_as),
            f"{context}.runAsNonRoot": (security.run_as_non_root, can.run_as),
            f"{context}.supplementalGroups": (security.supplemental_groups, can.run_as),
            f"{context}.capabilities": (security.capabilities_add or security.capabilities_drop, can.capabilities),
            f"{context}.allowPrivilegeEscalation": (security.allow_privilege_escalation is False, can.capabilities),
            f"{context}.readOnlyRootFilesystem": (security.read_only_root_filesystem, can.read_only_root_filesystem),
            f"{context}.seccompProfile": (security.seccomp_type, can.seccomp),
            f"{context}.appArmorProfile": (security.apparmor_profile, can.seccomp),
        }
    )


def _asked(features: dict[str, tuple[object, Support]]) -> Iterator[Finding]:
    for field, (is_asked, support) in features.items():
        if is_asked:
            yield Finding(field, "is not supported by this backend", support)
