"""Volumes of a Workload as v1.Volume objects, and the ConfigMaps and Secrets that hold their files. Pure."""

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
"""Limit of the data in one ConfigMap or Secret. The API server accepts 1 MiB, names included (v1.MaxSecretSize)."""


@dataclass(frozen=True)
class RemoteVolume:
    """One volume on the remote cluster, and the objects that hold its files. `read_only` and `propagation` hold for each of its mounts."""

    source: Json
    objects: list[Json] = field(default_factory=list)
    read_only: bool = False
    propagation: str = ""
    sub_path: str = ""


def require_mapped(volume: Volume, workload: Workload, settings: KueueSettings) -> None:
    """Raises what `remote_volume` would raise, without the work of encoding files."""
    if isinstance(volume, FilesVolume):
        for _ in _parts(volume):
            pass
    else:
        remote_volume(volume, workload, 0, settings)


def remote_volume(volume: Volume, workload: Workload, run: int, settings: KueueSettings) -> RemoteVolume:
    """Builds the volume. Raises Refused, which names the volume and the setting."""
    where = f"spec.volumes {volume.name}"
    if isinstance(volume, FilesVolume):
        return _files(volume, workload, run, settings)
    if isinstance(volume, EmptyDirVolume):
        source: Json = {"medium": "Memory"} if volume.in_memory else {}
        if volume.size_limit_bytes is not None:
            source["sizeLimit"] = str(volume.size_limit_bytes)
        return RemoteVolume({"emptyDir": source})
    if isinstance(volume, HostPathVolume):
        return _host_path(volume, where, settings)
    if isinstance(volume, CvmfsVolume):
        return _cvmfs(volume, where, settings)
    return _external(volume, workload, run, where, settings)


def remote_mount(mount: Mount, volume: RemoteVolume) -> Mount:
    """The mount with what its volume adds to it."""
    return Mount(
        volume=mount.volume,
        path=mount.path,
        read_only=mount.read_only or volume.read_only,
        sub_path=posixpath.join(volume.sub_path, mount.sub_path).rstrip("/"),
        propagation=mount.propagation or volume.propagation,
    )


def _files(volume: FilesVolume, workload: Workload, run: int, settings: KueueSettings) -> RemoteVolume:
    """A projected volume, because it can put files of several objects at any path with any mode."""
    kind = "secret" if volume.secret else "configMap"
    objects: list[Json] = []
    sources: list[Json] = []
    for number, files in enumerate(_parts(volume)):
        name = labels.files_name(workload, run, f"{volume.name}-{number}" if number else volume.name)
        keys = [f"file-{index}" for index in range(len(files))]
        data = {key: base64.b64encode(file.data).decode() for key, file in zip(keys, files, strict=True)}
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "Secret" if volume.secret else "ConfigMap",
                "metadata": {"name": name, "labels": labels.run_labels(settings.instance, workload, run)},
                "data" if volume.secret else "binaryData": data,
            }
        )
        items = [{"key": key, "path": file.path, "mode": file.mode} for key, file in zip(keys, files, strict=True)]
        sources.append({kind: {"name": name, "items": items}})
    return RemoteVolume({"projected": {"sources": sources}}, objects, read_only=True)


def _parts(volume: FilesVolume) -> Iterator[list[File]]:
    """The files in parts that fit into one object each. Raises Refused for a file that is too large for any."""
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


def _host_path(volume: HostPathVolume, where: str, settings: KueueSettings) -> RemoteVolume:
    try:
        read_only = host_path(volume.path, settings.volumes.host_path_allow)
    except NotOffered as refusal:
        raise Refused(f"{where}: {refusal.remedy('volumes')}") from None
    kind = volume.type.removesuffix("OrCreate") if read_only else volume.type
    source = {"path": normal(volume.path)} | ({"type": kind} if kind else {})
    return RemoteVolume({"hostPath": source}, read_only=read_only)


def _cvmfs(volume: CvmfsVolume, where: str, settings: KueueSettings) -> RemoteVolume:
    claim, path = settings.cvmfs.claim, settings.cvmfs.host_path
    if claim:
        source: Json = {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    elif path:
        source = {"hostPath": {"path": path, "type": "Directory"}}
    else:
        raise Refused(f"{where}: there is no CVMFS here; the operator can set cvmfs.claim or cvmfs.host_path")
    return RemoteVolume(source, read_only=True, propagation="HostToContainer", sub_path=volume.sub_path)


def _external(volume: ExternalVolume, workload: Workload, run: int, where: str, settings: KueueSettings) -> RemoteVolume:
    if volume.kind == "ephemeral":
        return _ephemeral(volume, workload, run, where, settings)
    if volume.kind == "image":
        return RemoteVolume({"image": {k: v for k, v in volume.attributes.items() if k in ("reference", "pullPolicy")}}, read_only=True)
    try:
        found = storage(volume, workload.namespace, settings.volumes)
    except NotOffered as refusal:
        raise Refused(f"{where}: {refusal.remedy('volumes')}") from None
    read_only = volume.read_only or found.read_only
    if volume.kind == "nfs":
        server, _, path = found.target.partition(":/")
        return RemoteVolume({"nfs": {"server": server, "path": normal(posixpath.join(path, found.below))}}, read_only=read_only)
    if volume.kind == "csi":
        source: Json = {"driver": found.target} | ({"readOnly": True} if read_only else {})
        return RemoteVolume({"csi": source | ({"volumeAttributes": dict(volume.attributes)} if volume.attributes else {})})
    return RemoteVolume({"persistentVolumeClaim": {"claimName": found.target}}, read_only=read_only)


def _ephemeral(volume: ExternalVolume, workload: Workload, run: int, where: str, settings: KueueSettings) -> RemoteVolume:
    """A claim that the remote cluster creates, and deletes together with the pod."""
    remote = settings.volumes.storage_classes.get(volume.key)
    if remote is None:
        storage_class = f"the storage class {volume.key}" if volume.key else "a volume without a storage class"
        raise Refused(f"{where}: {storage_class} is not mapped; the operator can add it to the setting volumes.storage_classes")
    spec: Json = {
        "accessModes": volume.attributes["accessModes"].split(","),
        "resources": {"requests": {"storage": volume.attributes["storage"]}},
    }
    template = {
        "metadata": {"labels": labels.run_labels(settings.instance, workload, run)},
        "spec": spec | ({"storageClassName": remote} if remote else {}),
    }
    return RemoteVolume({"ephemeral": {"volumeClaimTemplate": template}})
