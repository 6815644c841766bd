"""What the virtual kubelet and interLink's API server make of a pod's volumes on the way to a plugin, losses included.

Of a projected volume only tokens, ConfigMap text and some fields arrive; Secret sources, binaryData, single labels and resource
fields are lost without a word. Source: interLink pkg/virtualkubelet/execute.go (remoteExecutionHandleVolumes,
remoteExecutionHandleProjectedSource) and pkg/interlink/api/func.go (retrieveData).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from interlink_common.errors import Refused
from interlink_common.virtualkubelet.manifests import Manifests

Document = dict[str, Any]

ROOT_CA = "kube-root-ca.crt"
_GO_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}


def as_projected(volume: Document) -> Document:
    """A downwardAPI volume as create shows it (status and delete keep the original)."""
    source = volume.get("downwardAPI")
    if source is None:
        return deepcopy(volume)
    projected: Document = {"sources": [{"downwardAPI": {"items": deepcopy(source.get("items"))}}]}
    if "defaultMode" in source:
        projected["defaultMode"] = source["defaultMode"]
    return {"name": volume["name"], "projected": projected}


def container_data(container: Document, pod: Document, objects: Mapping[str, Document]) -> Document:
    """One element of create's `container` list; `objects` is what `volume_objects` found, by volume name."""
    found: dict[str, list[Document]] = {"configMaps": [], "projectedvolumemaps": [], "secrets": []}
    kinds = {"configMap": "configMaps", "projected": "projectedvolumemaps", "secret": "secrets"}
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
    for mount in container.get("volumeMounts") or []:
        volume = volumes.get(mount.get("name"), {})
        for kind, key in kinds.items():
            if volume.get(kind) is not None and volume["name"] in objects:
                found[key].append(deepcopy(objects[volume["name"]]))
    return {"name": container.get("name"), **{key: values or None for key, values in found.items()}, "emptyDirs": None}


def volume_objects(pod: Document, manifests: Manifests, token: str) -> dict[str, Document]:
    """The ConfigMap, Secret or projected map behind each volume that has one.

    Raises Refused for a missing ConfigMap or Secret, `optional` or not: the virtual kubelet waits five minutes and fails the pod.
    """
    objects: dict[str, Document] = {}
    for volume in pod["spec"].get("volumes") or []:
        name = volume["name"]
        if volume.get("configMap") is not None:
            objects[name] = _wire(_named("ConfigMap", volume["configMap"].get("name"), name, manifests.config_maps), pod)
        elif volume.get("secret") is not None:
            secret = _named("Secret", volume["secret"].get("secretName"), name, manifests.secrets)
            objects[name] = {"type": "Opaque", **_wire(secret, pod)}
        elif volume.get("projected") is not None:
            data: dict[str, str] = {}
            for source in volume["projected"].get("sources") or []:
                data.update(_projected_source(source, name, pod, manifests, token))
            objects[name] = {"metadata": {"name": name, "creationTimestamp": None}} | ({"data": data} if data else {})
    return objects


def _named(kind: str, wanted: str | None, volume: str, objects: Mapping[str, Document]) -> Document:
    if wanted is None or wanted not in objects:
        raise Refused(
            f"{kind} {wanted} of volume {volume} is not among the manifests; "
            "interLink waits five minutes for it, even if it is optional, and then fails the pod without asking the plugin."
        )
    return objects[wanted]


def _wire(document: Document, pod: Document) -> Document:
    """An API object as Go marshals it inside another one: no apiVersion, no kind, and the metadata the API server adds."""
    metadata = {"namespace": pod["metadata"]["namespace"], "creationTimestamp": pod["metadata"]["creationTimestamp"]}
    bare = {key: deepcopy(value) for key, value in document.items() if key not in ("apiVersion", "kind")}
    return {**bare, "metadata": {**metadata, **(bare.get("metadata") or {})}}


def _projected_source(source: Document, volume: str, pod: Document, manifests: Manifests, token: str) -> dict[str, str]:
    if source.get("serviceAccountToken"):
        return {source["serviceAccountToken"]["path"]: token}
    if source.get("configMap"):
        reference = source["configMap"]
        found = _named("ConfigMap", reference.get("name"), volume, manifests.config_maps)
        texts: dict[str, str] = found.get("data") or {}
        items = reference.get("items") or [{"key": key, "path": key} for key in texts]
        for item in items:
            if item["key"] not in texts:
                raise Refused(f"ConfigMap {reference['name']} of volume {volume} has no text under key {item['key']}.")
        return {item["path"]: texts[item["key"]] for item in items}
    if source.get("downwardAPI"):
        items = source["downwardAPI"].get("items") or []
        fields = {item["path"]: _field(item["fieldRef"]["fieldPath"], pod) for item in items if item.get("fieldRef")}
        return {path: text for path, text in fields.items() if text is not None}
    return {}


def _field(path: str, pod: Document) -> str | None:
    metadata, spec, status = pod["metadata"], pod["spec"], pod["status"]
    values = {
        "metadata.name": metadata.get("name"),
        "metadata.namespace": metadata.get("namespace"),
        "metadata.uid": metadata.get("uid"),
        "metadata.labels": _lines(metadata.get("labels") or {}),
        "metadata.annotations": _lines(metadata.get("annotations") or {}),
        "spec.nodeName": spec.get("nodeName"),
        "spec.serviceAccountName": spec.get("serviceAccountName"),
        "status.podIP": status.get("podIP"),
        "status.hostIP": status.get("hostIP"),
    }
    return str(values[path] or "") if path in values else None


def _lines(pairs: Mapping[str, str]) -> str:
    return "".join(f'{key}="{_go_quoted(pairs[key])}"\n' for key in sorted(pairs))


def _go_quoted(text: str) -> str:
    """The inside of Go's strconv.Quote."""
    return "".join(_GO_ESCAPES.get(char) or (char if char.isprintable() else _go_escaped(char)) for char in text)


def _go_escaped(char: str) -> str:
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
