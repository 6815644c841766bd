"""What kube-apiserver makes of a manifest before anybody else sees it: defaults, canonical quantities, admission's additions.

Source of the defaults: kubernetes pkg/apis/core/v1/defaults.go; of the tolerations: the DefaultTolerationSeconds admission
plugin; of the kube-api-access volume: the ServiceAccount admission plugin. Of its validation only the names are checked that the
rest of this package needs: other nonsense is passed on as it is, which is what a test with hostile pods wants.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from fractions import Fraction
from typing import Any

from interlink_common.errors import BadRequest

Document = dict[str, Any]

TOKEN_DIRECTORY = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  a path
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_CONTAINER_LISTS = ("initContainers", "containers", "ephemeralContainers")


def admitted_spec(spec: Document, *, node_name: str, token_volume: str | None) -> Document:
    """The pod's spec as the API server stores it once bound to `node_name`; `token_volume` names the kube-api-access volume to add.

    Raises BadRequest where a container, volume, mount or variable has no name.
    """
    _check_names(spec)
    spec = deepcopy(spec)
    for volume in spec.get("volumes") or []:
        _default_volume(volume)
    for container in containers_of(spec):
        _default_container(container, host_network=bool(spec.get("hostNetwork")))
    if token_volume and spec.get("automountServiceAccountToken") is not False:
        _mount_token(spec, token_volume)
    account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    defaults: Document = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": account,
        "serviceAccount": account,
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    for key, value in defaults.items():
        spec.setdefault(key, value)
    spec["nodeName"] = node_name
    _tolerate_lost_node(spec)
    for name in ("initContainers", "volumes"):
        if not spec.get(name):
            spec.pop(name, None)
    return spec


def _check_names(spec: Document) -> None:
    _named(spec.get("containers") or [None], "spec.containers")
    _named(spec.get("volumes"), "spec.volumes")
    for field in _CONTAINER_LISTS:
        for index, container in enumerate(_named(spec.get(field), f"spec.{field}")):
            _named(container.get("env"), f"spec.{field}[{index}].env")
            _named(container.get("volumeMounts"), f"spec.{field}[{index}].volumeMounts")


def _named(values: Any, field: str) -> list[Document]:
    if values is not None and not isinstance(values, list):
        raise BadRequest(f"{field} is not a list.")
    for index, value in enumerate(values or []):
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise BadRequest(f"{field}[{index}] is not an object with a name.")
    return values or []


def containers_of(spec: Document) -> Iterator[Document]:
    for name in _CONTAINER_LISTS:
        yield from spec.get(name) or []


def canonical_quantity(text: str | float) -> str:
    """A quantity as the API server writes it back: 0.5 -> 500m, 1024Mi -> 1Gi. Text that is no quantity is returned as it is.

    Source: k8s.io/apimachinery pkg/api/resource, Quantity.CanonicalizeBytes.
    """
    raw = str(text)
    split = _split_quantity(raw)
    if split is None:
        return raw
    value, binary = split
    if value == 0:
        return "0"
    if binary and value.denominator == 1 and abs(value) >= 2**10:
        suffix, factor = max(((s, f) for s, f in _BINARY.items() if value % f == 0), key=lambda pair: pair[1], default=("", 1))
        return f"{int(value / factor)}{suffix}"
    for suffix, exponent in sorted(_DECIMAL.items(), key=lambda pair: -pair[1]):
        scaled = value / Fraction(10) ** exponent
        if scaled.denominator == 1:
            return f"{int(scaled)}{suffix}"
    return raw


def _split_quantity(raw: str) -> tuple[Fraction, bool] | None:
    """The value, and whether it was written with a binary suffix."""
    for suffix, factor in _BINARY.items():
        if raw.endswith(suffix):
            number = _fraction(raw.removesuffix(suffix))
            return None if number is None else (number * factor, True)
    number = _fraction(raw)
    if number is not None:
        return number, False
    if raw and raw[-1] in _DECIMAL:
        number = _fraction(raw[:-1])
        return None if number is None else (number * Fraction(10) ** _DECIMAL[raw[-1]], False)
    return None


def _fraction(text: str) -> Fraction | None:
    if len(text) > 40 or "/" in text or "_" in text:
        return None
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    return value if abs(value) < Fraction(10) ** 30 else None


def _default_resources(resources: Document) -> None:
    for group in ("limits", "requests"):
        if resources.get(group):
            resources[group] = {name: canonical_quantity(value) for name, value in resources[group].items()}
    if resources.get("limits"):
        resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}


def _default_container(container: Document, *, host_network: bool) -> None:
    _default_resources(container.setdefault("resources", {}))
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", _pull_policy(str(container.get("image", ""))))
    for port in container.get("ports") or []:
        port.setdefault("protocol", "TCP")
        if host_network and "containerPort" in port:
            port.setdefault("hostPort", port["containerPort"])
    for variable in container.get("env") or []:
        _default_field(variable.get("valueFrom") or {})
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        if container.get(name):
            _default_probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _default_http(hook)


def _pull_policy(image: str) -> str:
    """Always for :latest, spelled or not; a digest is never latest (pkg/util/parsers, ParseImageName)."""
    last = image.rpartition("/")[2]
    if "@" in last:
        return "IfNotPresent"
    return "Always" if last.partition(":")[2] in ("", "latest") else "IfNotPresent"


def _default_probe(probe: Document) -> None:
    for key, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe[key] = probe.get(key) or value
    _default_http(probe)
    if probe.get("grpc"):
        probe["grpc"].setdefault("service", "")


def _default_http(handler: Document) -> None:
    if handler.get("httpGet"):
        handler["httpGet"]["path"] = handler["httpGet"].get("path") or "/"
        handler["httpGet"].setdefault("scheme", "HTTP")


def _default_field(source: Document) -> None:
    """Defaults of a downward API reference: ObjectFieldSelector.apiVersion, ResourceFieldSelector.divisor."""
    if source.get("fieldRef"):
        source["fieldRef"] = {"apiVersion": "v1", **source["fieldRef"]}
    if source.get("resourceFieldRef"):
        source["resourceFieldRef"].setdefault("divisor", "0")


def _default_volume(volume: Document) -> None:
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}
    for kind in ("configMap", "secret", "downwardAPI", "projected"):
        if isinstance(volume.get(kind), dict):
            volume[kind].setdefault("defaultMode", 0o644)
    for source in (volume, *((volume.get("projected") or {}).get("sources") or [])):
        if source.get("serviceAccountToken"):
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
        for item in (source.get("downwardAPI") or {}).get("items") or []:
            _default_field(item)
    if isinstance(volume.get("hostPath"), dict):
        volume["hostPath"].setdefault("type", "")
    if isinstance(volume.get("image"), dict):
        volume["image"].setdefault("pullPolicy", _pull_policy(str(volume["image"].get("reference", ""))))
    if (volume.get("emptyDir") or {}).get("sizeLimit") is not None:
        volume["emptyDir"]["sizeLimit"] = canonical_quantity(volume["emptyDir"]["sizeLimit"])


def _mount_token(spec: Document, name: str) -> None:
    mounted = False
    for container in containers_of(spec):
        mounts = container.setdefault("volumeMounts", [])
        if not any(mount.get("mountPath") == TOKEN_DIRECTORY for mount in mounts):
            mounts.append({"name": name, "readOnly": True, "mountPath": TOKEN_DIRECTORY})
            mounted = True
    if mounted:
        namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
        sources: list[Document] = [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ]
        spec["volumes"] = [*(spec.get("volumes") or []), {"name": name, "projected": {"sources": sources, "defaultMode": 0o644}}]


def _tolerate_lost_node(spec: Document) -> None:
    tolerations = list(spec.get("tolerations") or [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(toleration.get("key") == key for toleration in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    spec["tolerations"] = tolerations
