"""Fields of a pod that no backend of this suite honours: named, so that none is dropped in silence.

Every field is translated, harmless (it speaks to the virtual cluster, which has acted on it), or a finding. That includes fields that
this release has never heard of: they are what the wire models keep without reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from interlink_common.backend import Support
from interlink_common.contract.containers import Container
from interlink_common.contract.pod import Pod, PodSecurityContext, PodSpec
from interlink_common.contract.volumes import CsiSource, TokenSource, Volume
from interlink_common.contract.wire import FieldRef, Wire
from interlink_common.translation.coverage import Finding
from interlink_common.translation.podfields import PRE_EXEC, writes_mesh

_HARMLESS: Mapping[type[Wire], frozenset[str]] = {
    PodSpec: frozenset(
        {
            "automountServiceAccountToken",
            "enableServiceLinks",
            "hostUsers",
            "os",
            "preemptionPolicy",
            "priority",
            "readinessGates",
            "schedulerName",
            "schedulingGates",
            "serviceAccount",
            "topologySpreadConstraints",
        }
    ),
    PodSecurityContext: frozenset({"fsGroupChangePolicy", "seLinuxChangePolicy"}),
    Container: frozenset({"resizePolicy"}),
    FieldRef: frozenset({"apiVersion"}),
    TokenSource: frozenset({"expirationSeconds"}),
    CsiSource: frozenset({"fsType", "nodePublishSecretRef"}),
}
_REFUSED = frozenset({"resourceClaims", "claims", "ephemeralContainers", "hostnameOverride", "volumeDevices", "restartPolicyRules"})
_NOT_SET: tuple[object, ...] = (None, False, "", "Default", [], {})


def unsupported_fields(pod: Pod) -> tuple[Finding, ...]:
    """Findings for what the pod asks and nobody gives."""
    return (*_of_annotations(pod.metadata.annotations or {}), *_of_pod(pod.spec), *_unread(pod.spec, "pod.spec"))


def _of_annotations(annotations: Mapping[str, str]) -> Iterator[Finding]:
    pre_exec = annotations.get(PRE_EXEC)
    if pre_exec and not writes_mesh(pre_exec):
        yield Finding(f"pod.metadata.annotations.{PRE_EXEC}", "is a script for Slurm, which this backend does not run", Support.WARN)


def _of_pod(spec: PodSpec) -> Iterator[Finding]:
    extra = spec.model_extra or {}
    if isinstance(os := extra.get("os"), dict) and os.get("name") not in (None, "", "linux"):
        yield Finding("pod.spec.os.name", "must be linux", Support.REFUSE)
    if extra.get("hostUsers") is False:
        yield Finding("pod.spec.hostUsers", "has no effect: the pod gets no user namespace of its own", Support.WARN)
    if spec.resources and spec.resources.limits:
        yield Finding("pod.spec.resources.limits", "has no effect: set limits on the containers", Support.WARN)


def _unread(model: Wire, where: str) -> Iterator[Finding]:
    """A finding for each field below `model` that is set and that nobody reads."""
    harmless = _HARMLESS.get(type(model), frozenset())
    # An unknown kind of volume is translated: `ExternalVolume`.
    for name, value in (model.model_extra or {}).items() if not isinstance(model, Volume) else ():
        if value in _NOT_SET or name in harmless:
            continue
        if name in _REFUSED:
            yield Finding(f"{where}.{name}", "is not supported", Support.REFUSE)
        else:
            yield Finding(f"{where}.{name}", "has no effect here", Support.WARN)
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        for index, item in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(item, Wire):
                yield from _unread(item, f"{where}.{field.alias}" + ("" if index is None else f"[{index}]"))
