"""Manifest files: any number of YAML documents with Pods, ConfigMaps and Secrets. Errors name the file and the document."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from interlink_common.cli import strict_yaml
from interlink_common.errors import BadRequest
from interlink_common.virtualkubelet.manifests import Manifests, from_documents

Document = dict[str, Any]

_KINDS = ("Pod", "ConfigMap", "Secret")


def read_pods(files: Sequence[Path], namespace: str) -> list[Manifests]:
    """Every pod of the files ("-" is stdin) with the ConfigMaps and Secrets of its namespace, from whatever file.

    `namespace` is that of objects that name none. Raises BadRequest.
    """
    found = [document for file in files for document in _objects(file)]
    for document in found:
        document["metadata"].setdefault("namespace", namespace)
    pods = [document for document in found if document["kind"] == "Pod"]
    return [
        from_documents([pod, *(other for other in found if other["kind"] != "Pod" and _namespace(other) == _namespace(pod))])
        for pod in pods
    ]


def read_pod(file: Path, namespace: str) -> Manifests:
    """The one pod of a file. Raises BadRequest, also if there are more or none."""
    pods = read_pods([file], namespace)
    if len(pods) != 1:
        raise BadRequest(f"{_shown(file)} holds {len(pods)} pods; exactly one is needed.")
    return pods[0]


def _namespace(document: Document) -> str:
    return str(document["metadata"]["namespace"])


def _shown(file: Path) -> str:
    return "stdin" if str(file) == "-" else str(file)


def _objects(file: Path) -> Iterator[Document]:
    shown = _shown(file)
    try:
        text = sys.stdin.read() if shown == "stdin" else file.read_text(encoding="utf-8")
        documents = list(strict_yaml.documents(text))
    except OSError as error:
        raise BadRequest(f"{shown} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadRequest(f"{shown} is not UTF-8 text.") from None
    except ValueError as error:
        raise BadRequest(f"{shown} {error}.") from None
    for number, document in enumerate(documents, 1):
        yield from _checked(document, f"{shown}, document {number}")


def _checked(document: Any, place: str) -> Iterator[Document]:
    """The objects of one document; a List is taken apart."""
    if document is None:
        return
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise BadRequest(f"{place}: this is not a Kubernetes object; it needs apiVersion, kind and metadata.")
    if document["kind"] != "List":
        _check(document, place)
        yield document
        return
    items = document.get("items") or []
    if not isinstance(items, list):
        raise BadRequest(f"{place}: items is not a list.")
    for index, item in enumerate(items):
        yield from _checked(item, f"{place}, items[{index}]")


def _check(document: Document, place: str) -> None:
    kind, metadata, spec = document["kind"], document.get("metadata"), document.get("spec")
    if kind not in _KINDS:
        raise BadRequest(f"{place}: a {kind} cannot be sent to a plugin; only {', '.join(_KINDS)} can.")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise BadRequest(f"{place}: the {kind} has no metadata.name.")
    fields = {f"metadata.{key}": metadata.get(key) for key in ("annotations", "labels")}
    fields |= {key: document.get(key) for key in ("data", "stringData", "binaryData")}
    for field, value in fields.items():
        if value is not None and not isinstance(value, dict):
            raise BadRequest(f"{place}: {field} of {kind} {metadata['name']} is not a map.")
    if kind == "Pod" and not (isinstance(spec, dict) and isinstance(spec.get("containers"), list)):
        raise BadRequest(f"{place}: Pod {metadata['name']} has no spec.containers.")
