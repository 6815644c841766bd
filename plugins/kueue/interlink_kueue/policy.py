"""What the operator does not allow pods to do, whatever the remote cluster allows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from interlink_common.errors import Refused
from interlink_common.model.workload import Container, Workload
from interlink_kueue.labels import require_safe_uid
from interlink_kueue.settings import SecuritySettings

FOREIGN_IMAGES = ("docker://", "oras://", "library://", "shub://", "/", "./")


def require_allowed(workload: Workload, security: SecuritySettings) -> None:
    """Raises Refused with the first objection."""
    require_safe_uid(workload.uid)
    for objection in _pod_objections(workload, security):
        raise Refused(objection)
    for container in workload.all_containers:
        for objection in _container_objections(container, security):
            raise Refused(f"container {container.name}: {objection}")


def _pod_objections(workload: Workload, allowed: SecuritySettings) -> Iterator[str]:
    for wanted, field in ((workload.host_network, "hostNetwork"), (workload.host_pid, "hostPID"), (workload.host_ipc, "hostIPC")):
        if wanted and not allowed.allow_host_namespaces:
            yield _denied(f"spec.{field}", "allow_host_namespaces")
    for name in workload.sysctls:
        if not any(fnmatchcase(name, pattern) for pattern in allowed.allow_sysctls):
            yield _denied(f"spec.securityContext.sysctls {name}", "allow_sysctls")


def _container_objections(container: Container, allowed: SecuritySettings) -> Iterator[str]:
    security = container.security
    if container.image.startswith(FOREIGN_IMAGES):
        yield "image must be the name of an OCI image; Kubernetes does not run other image forms"
    if security.privileged and not allowed.allow_privileged:
        yield _denied("securityContext.privileged", "allow_privileged")
    if security.run_as_user == 0 and not allowed.allow_root:
        yield _denied("securityContext.runAsUser 0", "allow_root")
    for capability in security.capabilities_add:
        if not any(fnmatchcase(capability.upper().removeprefix("CAP_"), name) for name in allowed.allow_capabilities):
            yield _denied(f"securityContext.capabilities.add {capability}", "allow_capabilities")
    if security.seccomp_type == "Unconfined" and not allowed.allow_seccomp_unconfined:
        yield _denied("securityContext.seccompProfile.type Unconfined", "allow_seccomp_unconfined")
    if any(port.host_port for port in container.ports) and not allowed.allow_host_ports:
        yield _denied("ports.hostPort", "allow_host_ports")
    if any(mount.propagation == "Bidirectional" for mount in container.mounts) and not allowed.allow_bidirectional_mounts:
        yield _denied("volumeMounts.mountPropagation Bidirectional", "allow_bidirectional_mounts")


def _denied(field: str, setting: str) -> str:
    return f"{field} is not allowed on this node; the operator can allow it with security.{setting}"
