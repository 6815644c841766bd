"""What the operator does not let a pod do here, each as Refused that names the field and the setting. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from interlink_common.errors import Refused
from interlink_common.model.workload import Container, FilesVolume, Security, Workload
from interlink_common.translation.names import require_safe_uid
from interlink_docker.settings import DockerSettings, SecuritySettings

FOREIGN_FORMS = ("oras://", "library://", "shub://", "http://", "https://", "/", "./")
"""Image forms of other runtimes, and files."""


def require_allowed(workload: Workload, settings: DockerSettings, *, as_root: bool) -> None:
    """Raises Refused with the first objection. `as_root`: the plugin runs as root and may change owners of files."""
    require_safe_uid(workload.uid)
    for objection in pod_objections(workload, settings, as_root=as_root):
        raise Refused(objection)
    for container in workload.all_containers:
        for objection in container_objections(container, settings):
            raise Refused(f"container {container.name}: {objection}")


def pod_objections(workload: Workload, settings: DockerSettings, *, as_root: bool) -> Iterator[str]:
    security = settings.security
    asked = [
        (workload.host_network, "spec.hostNetwork", security.allow_host_network, "allow_host_network"),
        (workload.host_pid, "spec.hostPID", security.allow_host_pid, "allow_host_pid"),
        (workload.host_ipc, "spec.hostIPC", security.allow_host_ipc, "allow_host_ipc"),
    ]
    for wanted, field, allowed, setting in asked:
        if wanted and not allowed:
            yield denied(field, setting)
    for name in workload.sysctls:
        if not any(fnmatchcase(name, pattern) for pattern in security.allow_sysctls):
            yield denied(f"spec.securityContext.sysctls {name}", "allow_sysctls")
    if workload.host_network and any(name.startswith("net.") for name in workload.sysctls):
        yield "spec.securityContext.sysctls may not hold net. names together with spec.hostNetwork"
    if workload.host_network and workload.network.has_scripts and settings.network.image:
        yield "spec.hostNetwork may not go together with the network scripts of interLink, which would change the network of the host"
    if workload.fs_group is not None and not as_root and any(isinstance(volume, FilesVolume) for volume in workload.volumes):
        yield "spec.securityContext.fsGroup needs the plugin to run as root when the pod mounts a configMap, secret or projected volume"


def container_objections(container: Container, settings: DockerSettings) -> Iterator[str]:
    allowed = settings.security
    if container.image.startswith(FOREIGN_FORMS):
        yield "image must be the name of a Docker image; this node does not run other image forms"
    yield from identity_objections(container.security, allowed)
    yield from profile_objections(container.security, allowed)
    if any(port.host_port for port in container.ports) and not allowed.allow_host_ports:
        yield denied("ports.hostPort", "allow_host_ports")
    if any(mount.propagation == "Bidirectional" for mount in container.mounts):
        if not allowed.allow_bidirectional_mounts:
            yield denied("volumeMounts.mountPropagation Bidirectional", "allow_bidirectional_mounts")
        elif not container.security.privileged:
            yield "volumeMounts.mountPropagation Bidirectional needs securityContext.privileged"


def identity_objections(security: Security, allowed: SecuritySettings) -> Iterator[str]:
    if security.privileged and not allowed.allow_privileged:
        yield denied("securityContext.privileged", "allow_privileged")
    if security.run_as_user == 0 and not allowed.allow_root:
        yield denied("securityContext.runAsUser 0", "allow_root")
    if security.run_as_user == 0 and security.run_as_non_root:
        yield "securityContext.runAsNonRoot contradicts runAsUser 0"
    for capability in security.capabilities_add:
        if capability.upper().removeprefix("CAP_") not in allowed.allow_capabilities:
            yield denied(f"securityContext.capabilities.add {capability}", "allow_capabilities")


def profile_objections(security: Security, allowed: SecuritySettings) -> Iterator[str]:
    if security.seccomp_type == "Unconfined" and not allowed.allow_seccomp_unconfined:
        yield denied("securityContext.seccompProfile.type Unconfined", "allow_seccomp_unconfined")
    if security.seccomp_type == "Localhost" and security.seccomp_profile not in allowed.seccomp_profiles:
        yield denied(f"securityContext.seccompProfile.localhostProfile {security.seccomp_profile}", "seccomp_profiles")
    apparmor = security.apparmor_profile.removeprefix("localhost/")
    if apparmor not in {"", "RuntimeDefault", "runtime/default", *allowed.apparmor_profiles}:
        yield denied(f"securityContext.appArmorProfile {apparmor}", "apparmor_profiles")


def denied(field: str, setting: str) -> str:
    return f"{field} is not allowed on this node; the operator can allow it with security.{setting}"


def needs_image_user(security: Security, settings: DockerSettings) -> bool:
    """Whether the image's own USER decides something."""
    if security.run_as_user is not None:
        return False
    return security.run_as_group is not None or security.run_as_non_root or not settings.security.allow_root


def image_user_objection(security: Security, image_user: str, settings: DockerSettings) -> str:
    """ "" or why a container may not run as the image's user (kubelet: verifyRunAsNonRoot, CreateContainerConfigError)."""
    if security.run_as_user is not None or (settings.security.allow_root and not security.run_as_non_root):
        return ""
    user = image_user.partition(":")[0]
    asked = "runAsNonRoot is set" if security.run_as_non_root else "uid 0 is not allowed on this node"
    if user in {"", "0", "root"}:
        return f"securityContext: {asked}, and the image runs as root; set runAsUser"
    if not user.isdecimal():
        return f"securityContext: {asked}, and the image has the non-numeric user {user}, which cannot be verified; set runAsUser"
    return ""
