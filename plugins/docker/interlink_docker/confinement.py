"""securityContext as the engine's JSON: user, groups, capabilities, profiles. What is allowed at all is `policy`'s business. Pure."""

from __future__ import annotations

from typing import Any

from interlink_common.model.workload import Container, Security, Workload
from interlink_docker.settings import DockerSettings

Json = dict[str, Any]


def confinement(workload: Workload, container: Container, settings: DockerSettings, seccomp_profile: str) -> Json:
    """The members of HostConfig that confine. `seccomp_profile`: the JSON text of the profile that the container names, if any."""
    security = container.security
    groups = [*security.supplemental_groups, *([] if workload.fs_group is None else [workload.fs_group])]
    return {
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root_filesystem,
        "CapAdd": list(security.capabilities_add),
        "CapDrop": list(security.capabilities_drop),
        "GroupAdd": [str(group) for group in dict.fromkeys(groups)],
        "SecurityOpt": security_options(security, settings, seccomp_profile),
    }


def engine_user(security: Security, image_user: str) -> str:
    """ "" leaves the image's own user; a group without a user keeps the image's user."""
    if security.run_as_group is None:
        return "" if security.run_as_user is None else str(security.run_as_user)
    user = str(security.run_as_user) if security.run_as_user is not None else image_user.partition(":")[0] or "0"
    return f"{user}:{security.run_as_group}"


def security_options(security: Security, settings: DockerSettings, seccomp_profile: str) -> list[str]:
    """The engine's default profiles stay unless the pod names others; the engine takes a seccomp profile as JSON text."""
    options = []
    forced = settings.security.no_new_privileges and not security.privileged
    rootless = not settings.security.allow_root  # or a setuid program of the image would be root
    if security.allow_privilege_escalation is False or forced or rootless:
        options.append("no-new-privileges")
    if security.seccomp_type == "Unconfined":
        options.append("seccomp=unconfined")
    elif security.seccomp_type == "Localhost":
        options.append(f"seccomp={seccomp_profile}")
    if security.apparmor_profile == "Unconfined":
        options.append("apparmor=unconfined")
    elif security.apparmor_profile not in {"", "RuntimeDefault", "runtime/default"}:
        options.append(f"apparmor={security.apparmor_profile.removeprefix('localhost/')}")
    return options
