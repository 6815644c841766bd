"""How the virtual kubelet resolves a container's environment before a plugin sees it. It has two ways, and the body does not say which.

`flattened` is the default: one map of final values in random order. `half_resolved` is what SkipDownwardAPIResolution leaves:
ordered, values unexpanded, some references resolved and some lost. Sources: virtual-kubelet internal/podutils/env.go, and
interLink's pkg/virtualkubelet/execute.go (resolveEnvFromRefs, resolveEnvRefs). Both are reproduced with their losses.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from random import Random
from typing import Any

from interlink_common.errors import Refused
from interlink_common.virtualkubelet.admission import canonical_quantity
from interlink_common.virtualkubelet.manifests import Manifests

Document = dict[str, Any]

_VARIABLE_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")
_ANNOTATION = re.compile(r"metadata\.annotations\[['\"]?(.+?)['\"]?\]")
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(value: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` and `$$` as the kubelet does it (third_party/forked/golang/expansion): an unknown name stays as written."""

    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        return variables.get(name, match.group(0))

    return _REFERENCE.sub(one, value)


def flattened(container: Document, pod: Document, manifests: Manifests, shuffle: Random) -> list[Document]:
    """The default: env and envFrom as one shuffled list of final values.

    Raises Refused where a mandatory reference is missing: the virtual kubelet then never sends the pod.
    """
    result: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        pairs = _env_from(source, manifests, strict=True)
        result.update({name: value for name, value in pairs.items() if _VARIABLE_NAME.fullmatch(name)})
    for variable in container.get("env") or []:
        value = _final_value(variable, pod, manifests, result)
        if value is not None:
            result[variable["name"]] = value
    entries = [_variable(name, value) for name, value in result.items()]
    shuffle.shuffle(entries)
    return entries


def half_resolved(container: Document, pod: Document, manifests: Manifests, shuffle: Random) -> list[Document]:
    """With SkipDownwardAPIResolution: env in order and unexpanded, envFrom appended (each map in random order, explicit names win)."""
    explicit = list(container.get("env") or [])
    taken = {variable["name"] for variable in explicit}
    appended: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        pairs = list(_env_from(source, manifests, strict=False).items())
        shuffle.shuffle(pairs)
        appended.update((name, value) for name, value in pairs if name not in taken)
    return [_half_resolved(variable, container, pod, manifests) for variable in explicit] + [
        _variable(name, value) for name, value in appended.items()
    ]


def secret_texts(secret: Document) -> dict[str, str]:
    """A Secret's values as environment text; bytes that are no UTF-8 come out as Go's JSON writes them, replaced."""
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.get("data") or {}).items()}


def _variable(name: str, value: str) -> Document:
    return {"name": name, "value": value} if value else {"name": name}


def _env_from(source: Document, manifests: Manifests, *, strict: bool) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    values: dict[str, str] = {}
    for field, kind, objects in (
        ("configMapRef", "ConfigMap", manifests.config_maps),
        ("secretRef", "Secret", manifests.secrets),
    ):
        reference = source.get(field)
        if not reference:
            continue
        found = objects.get(reference.get("name", ""))
        if found is not None:
            texts = found.get("data") or {} if kind == "ConfigMap" else secret_texts(found)
            values.update({prefix + key: text for key, text in texts.items()})
        elif strict and not reference.get("optional"):
            raise _missing(kind, reference, "envFrom")
    return values


def _missing(kind: str, reference: Document, field: str) -> Refused:
    return Refused(f"{kind} {reference.get('name')}, which {field} needs, is not among the manifests; add it or mark it optional.")


def _keyed(source: Document, manifests: Manifests) -> tuple[str, Document, str | None] | None:
    """For configMapKeyRef and secretKeyRef: the kind, the reference, and the value if there is one."""
    for field, kind, objects in (
        ("configMapKeyRef", "ConfigMap", manifests.config_maps),
        ("secretKeyRef", "Secret", manifests.secrets),
    ):
        reference = source.get(field)
        if reference:
            found = objects.get(reference.get("name", ""), {})
            texts = found.get("data") or {} if kind == "ConfigMap" else secret_texts(found)
            return kind, reference, texts.get(reference.get("key", ""))
    return None


def _final_value(variable: Document, pod: Document, manifests: Manifests, variables: Mapping[str, str]) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return expand(variable.get("value") or "", variables)
    keyed = _keyed(source, manifests)
    if keyed is not None:
        kind, reference, value = keyed
        if value is None and not reference.get("optional"):
            raise _missing(kind, reference, f"env {variable['name']}")
        return value
    if source.get("fieldRef"):
        return _field(source["fieldRef"].get("fieldPath", ""), pod, variable["name"])
    return None


def _field(path: str, pod: Document, name: str) -> str:
    """Every field that env.valueFrom.fieldRef may name (Kubernetes, "Downward API"), before the pod has an address."""
    metadata, spec = pod["metadata"], pod["spec"]
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str((metadata.get(subscript.group(1)) or {}).get(subscript.group(2), ""))
    values = {
        "metadata.name": metadata.get("name"),
        "metadata.namespace": metadata.get("namespace"),
        "metadata.uid": metadata.get("uid"),
        "spec.nodeName": spec.get("nodeName"),
        "spec.serviceAccountName": spec.get("serviceAccountName"),
    }
    if path not in values:
        raise Refused(f"env {name}: the virtual kubelet does not resolve fieldPath {path} and never sends the pod.")
    return str(values[path] or "")


def _half_resolved(variable: Document, container: Document, pod: Document, manifests: Manifests) -> Document:
    source = variable.get("valueFrom")
    if not source:
        return variable
    name = variable["name"]
    keyed = _keyed(source, manifests)
    if keyed is not None:
        value = keyed[2]
        return variable if value is None else _variable(name, value)
    if source.get("fieldRef"):
        return _half_resolved_field(variable, source["fieldRef"].get("fieldPath", ""), pod)
    if source.get("resourceFieldRef"):
        quantity = _quantity(source["resourceFieldRef"], container, pod)
        return variable if quantity is None else _variable(name, quantity)
    return variable


def _half_resolved_field(variable: Document, path: str, pod: Document) -> Document:
    """Fields it does not know arrive as an empty value, an absent annotation as the reference itself."""
    metadata = pod["metadata"]
    values = {
        "status.podIP": pod["status"].get("podIP"),
        "metadata.name": metadata.get("name"),
        "metadata.namespace": metadata.get("namespace"),
        "metadata.uid": metadata.get("uid"),
    }
    annotation = _ANNOTATION.fullmatch(path)
    if annotation:
        found = (metadata.get("annotations") or {}).get(annotation.group(1))
        return variable if found is None else _variable(variable["name"], found)
    return _variable(variable["name"], str(values.get(path) or ""))


def _quantity(reference: Document, container: Document, pod: Document) -> str | None:
    """The quantity as text, its divisor ignored; None where the virtual kubelet gives up (init containers, dotted resources)."""
    wanted = reference.get("containerName") or container["name"]
    scope, _, resource = str(reference.get("resource", "")).partition(".")
    if "." in resource or scope not in ("limits", "requests"):
        return None
    for candidate in pod["spec"].get("containers") or []:
        if candidate["name"] == wanted:
            return canonical_quantity(candidate["resources"].get(scope, {}).get(resource, "0"))
    return None
