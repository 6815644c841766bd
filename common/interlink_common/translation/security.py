"""Security of a container: its securityContext over the pod's, field by field, as Kubernetes merges them.

Source: kubernetes `pkg/securitycontext/util.go` (DetermineEffectiveSecurityContext) and `validation.go` (ValidateSecurityContext).
"""

from __future__ import annotations

import re
from typing import TypeVar

from interlink_common.contract import containers as wire
from interlink_common.contract.pod import PodSecurityContext
from interlink_common.model.workload import Security
from interlink_common.translation.checks import bounded, invalid

_MAX_ID = 2**31 - 1
_CAPABILITY = re.compile(r"[A-Z0-9_]{1,64}")
_SYSCTL = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_PROFILE = re.compile(r"(?!.*\.\.)[A-Za-z0-9._][A-Za-z0-9._/-]{0,252}")
_Value = TypeVar("_Value")


def security(pod: PodSecurityContext | None, container: wire.SecurityContext | None, where: str) -> Security:
    """The merged security context of the container at `where`. Raises BadRequest."""
    outer, inner = pod or PodSecurityContext(), container or wire.SecurityContext()
    where = f"{where}.securityContext"
    capabilities = inner.capabilities or wire.LinuxCapabilities()
    seccomp_type, seccomp_profile = _profile(_first(inner.seccomp_profile, outer.seccomp_profile), f"{where}.seccompProfile")
    apparmor_type, apparmor_profile = _profile(_first(inner.app_armor_profile, outer.app_armor_profile), f"{where}.appArmorProfile")
    if inner.privileged and inner.allow_privilege_escalation is False:
        raise invalid(f"{where}.allowPrivilegeEscalation", "must not be false for a privileged container")
    return Security(
        run_as_user=_id(_first(inner.run_as_user, outer.run_as_user), f"{where}.runAsUser"),
        run_as_group=_id(_first(inner.run_as_group, outer.run_as_group), f"{where}.runAsGroup"),
        run_as_non_root=bool(_first(inner.run_as_non_root, outer.run_as_non_root)),
        privileged=bool(inner.privileged),
        allow_privilege_escalation=inner.allow_privilege_escalation,
        read_only_root_filesystem=bool(inner.read_only_root_filesystem),
        capabilities_add=_capabilities(capabilities.add, f"{where}.capabilities.add"),
        capabilities_drop=_capabilities(capabilities.drop, f"{where}.capabilities.drop"),
        seccomp_type=seccomp_type,
        seccomp_profile=seccomp_profile,
        apparmor_profile=f"localhost/{apparmor_profile}" if apparmor_profile else apparmor_type,
        supplemental_groups=tuple(_group(g, "pod.spec.securityContext.supplementalGroups") for g in outer.supplemental_groups or ()),
    )


def fs_group(pod: PodSecurityContext | None) -> int | None:
    """The group that owns the pod's volumes. Raises BadRequest."""
    return _id(pod.fs_group, "pod.spec.securityContext.fsGroup") if pod else None


def sysctls(pod: PodSecurityContext | None) -> dict[str, str]:
    """Kernel parameters by name, dots as separators. Raises BadRequest."""
    settings: dict[str, str] = {}
    for sysctl in (pod and pod.sysctls) or ():
        if not _SYSCTL.fullmatch(sysctl.name) or not sysctl.value.isprintable():
            raise invalid("pod.spec.securityContext.sysctls", "is not the name or value of a kernel parameter")
        settings[sysctl.name.replace("/", ".")] = sysctl.value
    return settings


def _profile(profile: wire.Profile | None, where: str) -> tuple[str, str]:
    if profile is None:
        return "", ""
    if profile.type not in ("RuntimeDefault", "Unconfined", "Localhost"):
        raise invalid(f"{where}.type", "must be RuntimeDefault, Unconfined or Localhost")
    local = profile.localhost_profile or ""
    if (profile.type == "Localhost") != bool(local) or (local and not _PROFILE.fullmatch(local)):
        raise invalid(f"{where}.localhostProfile", "must be a relative path, for type Localhost only")
    return profile.type, local


def _capabilities(names: list[str] | None, field: str) -> tuple[str, ...]:
    for name in names or ():
        if not _CAPABILITY.fullmatch(name):
            raise invalid(field, "must hold names of Linux capabilities such as NET_ADMIN")
    return tuple(names or ())


def _id(value: int | None, field: str) -> int | None:
    return None if value is None else _group(value, field)


def _group(value: int, field: str) -> int:
    return bounded(value, 0, _MAX_ID, field)


def _first(inner: _Value | None, outer: _Value | None) -> _Value | None:
    return outer if inner is None else inner
