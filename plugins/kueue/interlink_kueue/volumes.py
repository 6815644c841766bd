"""Volumes of a Workload as v1.Volume objects, and the ConfigMaps and Secrets that carry their files. Pure."""

from __future__ import annotations

import base64
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from interlink_common.errors import Refused
from interlink_common.model.site import NotOffered, host_path, normal, storage
from interlink_common.model.workload import (
    CvmfsVolume,
    EmptyDirVolume,
    ExternalVolume,
    File,
    FilesVolume,
    HostPathVolume,
    Mount,
    Volume,
    Workload,
)
from interlink_kueue import labels
from interlink_kueue.settings import KueueSettings

Json = dict[str, Any]

OBJECT_BYTES = 900 * 1024
"""Data in one ConfigMap or Secret; the API server takes 1 MiB with names and all (v1.MaxSecretSize)."""


@dataclass(frozen=True)
class Carried:
    """One volume on the remote cluster. `read_only`: whatever a mount says. `propagation`: what every mount of it gets."""

    source: Json
    objects: list[Json] = field(default_factory=list)
    read_only: bool = False
    propagation: str = ""
    sub_path: str = ""


def require_mapped(volume: Volume, pod: Workload, settings: KueueSettings) -> None:
    """Raises whatever `carry` would raise, without the work of encoding files."""
    if isinstance(volume, FilesVolume):
        for _ in _parts(volume):
            pass
    else:
        carry(volume, pod, 0, settings)


def carry(volume: Volume, pod: Workload, run: int, settings: KueueSettings) -> Carried:
    """Raises Refused naming the volume and the setting."""
    where = f"spec.volumes {volume.name}"
    if isinstance(volume, FilesVolume):
        return _files(volume, pod, run, settings)
    if isinstance(volume, EmptyDirVolume):
        source: Json = {"medium": "Memory"} if volume.in_memory else {}
        if volume.size_limit_bytes is not None:
            source["sizeLimit"] = str(volume.size_limit_bytes)
        return Carried({"emptyDir": source})
    if isinstance(volume, HostPathVolume):
        return _host_path(volume, where, settings)
    if isinstance(volume, CvmfsVolume):
        return _cvmfs(volume, where, settings)
    return _external(volume, pod, run, where, settings)


def mounted(mount: Mount, carried: Carried) -> Mount:
    """The mount with what its volume adds."""
    return Mount(
        volume=mount.volume,
        path=mount.path,
        read_only=mount.read_only or carried.read_only,
        sub_path=posixpath.join(carried.sub_path, mount.sub_path).rstrip("/"),
        propagation=mount.propagation or carried.propagation,
    )


def _files(volume: FilesVolume, pod: Workload, run: int, settings: KueueSettings) -> Carried:
    """A projected volume, which puts any number of objects at any paths with any modes."""
    kind = "secret" if volume.secret else "configMap"
    objects: list[Json] = []
    sources: list[Json] = []
    for number, files in enumerate(_parts(volume)):
        name = labels.files_name(pod, run, f"{volume.name}-{number}" if number else volume.name)
        keys = [f"file-{index}" for index in range(len(files))]
        data = {key: base64.b64encode(file.data).decode() for key, file in zip(keys, files, strict=True)}
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "Secret" if volume.secret else "ConfigMap",
                "metadata": {"name": name, "labels": labels.run_labels(settings.instance, pod, run)},
                "data" if volume.secret else "binaryData": data,
            }
        )
        items = [{"key": key, "path": file.path, "mode": file.mode} for key, file in zip(keys, files, strict=True)]
        sources.append({kind: {"name": name, "items": items}})
    return Carried({"projected": {"sources": sources}}, objects, read_only=True)


def _parts(volume: FilesVolume) -> Iterator[list[File]]:
    """The files in parts that fit into one object each. Raises Refused for a single file that never will."""
    part: list[File] = []
    size = 0
    for file in volume.files:
        length = len(file.data)
        if length > OBJECT_BYTES:
            raise Refused(f"spec.volumes {volume.name}: the file {file.path} is larger than {OBJECT_BYTES} bytes")
        if size + length > OBJECT_BYTES:
            yield part
            part, size = [], 0
        part.append(file)
        size += length
    if part:
        yield part


def _host_path(volume: HostPathVolume, where: str, settings: KueueSettings) -> Carried:
    try:
        read_only = host_path(volume.path, settings.volumes.host_path_allow)
    except NotOffered as refusal:
        raise Refused(f"{where}: {refusal.remedy('volumes')}") from None
    source = {"path": normal(volume.path)} | ({"type": volume.type} if volume.type else {})
    return Carried({"hostPath": source}, read_only=read_only)


def _cvmfs(volume: CvmfsVolume, where: str, settings: KueueSettings) -> Carried:
    claim, path = settings.cvmfs.claim, settings.cvmfs.host_path
    if claim:
        source: Json = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    elif path:
        source = {"hostPath": {"path": path, "type": "Directory"}}
    else:
        raise Refused(f"{where}: there is no CVMFS here; the operator can set cvmfs.claim or cvmfs.host_path")
    return Carried(source, read_only=True, propagation="HostToContainer", sub_path=volume.sub_path)


def _external(volume: ExternalVolume, pod: Workload, run: int, where: str, settings: KueueSettings) -> Carried:
    if volume.kind == "ephemeral":
        return _ephemeral(volume, pod, run, where, settings)
    if volume.kind == "image":
        return Carried({"image": {k: v for k, v in volume.attributes.items() if k in ("reference", "pullPolicy")}}, read_only=True)
    try:
        found = storage(volume, pod.namespace, settings.volumes)
    except NotOffered as refusal:
        raise Refused(f"{where}: {refusal.remedy('volumes')}") from None
    read_only = volume.read_only or found.read_only
    if volume.kind == "nfs":
        server, _, path = found.target.partition(":/")
        return Carried({"nfs": {"server": server, "path": normal(posixpath.join(path, found.below))}}, read_only=read_only)
    if volume.kind == "csi":
        source: Json = {"driver": found.target} | ({"readOnly": True} if read_only else {})
        return Carried({"csi": source | ({"volumeAttributes": dict(volume.attributes)} if volume.attributes else {})})
    return Carried({"persistentVolumeClaim": {"claimName": found.target}}, read_only=read_only)


def _ephemeral(volume: ExternalVolume, pod: Workload, run: int, where: str, settings: KueueSettings) -> Carried:
    """The remote cluster makes the claim, and removes it with the pod."""
    remote = settings.volumes.storage_classes.get(volume.key)
    if remote is None:
        named = f"the storage class {volume.key}" if volume.key else "a volume without a storage class"
        raise Refused(f"{where}: {named} is not mapped; the operator can add it to the setting volumes.storage_classes")
    spec: Json = {
        "accessModes": volume.attributes["accessModes"].split(","),
        "resources": {"requests": {"storage": volume.attributes["storage"]}},
    }
    template = {
        "metadata": {"labels": labels.run_labels(settings.instance, pod, run)},
        "spec": spec | ({"storageClassName": remote} if remote else {}),
    }
    return Carried({"ephemeral": {"volumeClaimTemplate": template}})
