"""Plain kubectl manifests: one Pod and the ConfigMaps and Secrets it refers to, from one or more YAML documents.

Read as kubectl reads them: an unquoted date stays text (PyYAML would make a date of it), a `List` is taken apart, and a
Secret's `stringData` is folded into `data`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from interlink_common.errors import BadRequest

Document = dict[str, Any]


class _KubectlLoader(yaml.SafeLoader):
    """SafeLoader without YAML's timestamps, which Kubernetes' YAML does not have."""


_KubectlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Manifests:
    """One pod as its author wrote it, and the objects of its namespace by name."""

    pod: Document
    config_maps: Mapping[str, Document] = field(default_factory=dict)
    secrets: Mapping[str, Document] = field(default_factory=dict)


def load_manifests(text: str) -> Manifests:
    """Reads a manifest file. Raises BadRequest if it is not YAML, or does not hold exactly one Pod."""
    try:
        documents = list(yaml.load_all(text, Loader=_KubectlLoader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise BadRequest(f"The manifest is not valid YAML{place}.") from None
    return from_documents(documents)


def from_documents(documents: Iterable[Any]) -> Manifests:
    """Sorts documents by kind. Raises BadRequest for other kinds than Pod, ConfigMap, Secret and List, and unless there is one Pod."""
    pods: list[Document] = []
    config_maps: dict[str, Document] = {}
    secrets: dict[str, Document] = {}
    for document in _flatten(documents):
        kind = document.get("kind")
        name = (document.get("metadata") or {}).get("name")
        if not isinstance(name, str) or not name:
            raise BadRequest(f"A {kind} in the manifest has no metadata.name.")
        if kind == "Pod":
            pods.append(deepcopy(document))
        elif kind == "ConfigMap":
            config_maps[name] = deepcopy(document)
        elif kind == "Secret":
            secrets[name] = _folded(document)
        else:
            raise BadRequest(f"The manifest holds a {kind}; only Pod, ConfigMap and Secret can be sent to a plugin.")
    if len(pods) != 1:
        raise BadRequest(f"The manifest holds {len(pods)} pods; exactly one is needed.")
    return Manifests(pods[0], config_maps, secrets)


def _flatten(documents: Iterable[Any]) -> Iterable[Document]:
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise BadRequest("A document of the manifest is not an object with apiVersion and kind.")
        if document.get("kind") == "List":
            yield from _flatten(document.get("items") or ())
        else:
            yield document


def _folded(secret: Document) -> Document:
    """`stringData` wins over `data` (v1.Secret)."""
    folded = {key: deepcopy(value) for key, value in secret.items() if key != "stringData"}
    plain = {key: base64.b64encode(str(value).encode()).decode() for key, value in (secret.get("stringData") or {}).items()}
    if plain:
        folded["data"] = {**(folded.get("data") or {}), **plain}
    return folded
