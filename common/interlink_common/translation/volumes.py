"""Volumes of a pod: what can be made here becomes files or directories, what only an operator can map keeps its kind and key."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from interlink_common.contract.volumes import EmptyDirSource, EphemeralSource, HostPathSource
from interlink_common.contract.volumes import Volume as WireVolume
from interlink_common.model.workload import EmptyDirVolume, ExternalVolume, FilesVolume, HostPathVolume, Volume
from interlink_common.translation.checks import absolute, check_label, check_subdomain, invalid, refused
from interlink_common.translation.cvmfs import CvmfsRules
from interlink_common.translation.files import DEFAULT_MODE, config_map_contents, distinct, file_mode, keys_to_files, secret_contents
from interlink_common.translation.projected import Projector
from interlink_common.translation.quantities import whole

_SERVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_HOST_PATH_TYPES = frozenset({"", "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"})


@dataclass(frozen=True)
class VolumeTranslator:
    """Translates the volumes of one pod. `mounted` are the volumes that a container mounts: only their data was sent."""

    projector: Projector
    cvmfs: CvmfsRules
    mounted: Collection[str]

    def volume(self, source: WireVolume, where: str) -> tuple[Volume, tuple[str, ...]]:
        """(the volume, warnings). Raises BadRequest, Refused."""
        check_label(source.name, f"{where}.name")
        kinds = _kinds(source)
        if len(kinds) > 1:
            raise invalid(where, "must have exactly one kind of volume")
        cvmfs = self.cvmfs.volume(source, where)
        if cvmfs is not None:
            return cvmfs, ()
        if source.projected is not None and source.name in self.mounted:
            return self.projector.volume(source.name, source.projected, f"{where}.projected")
        if source.config_map or source.secret or source.projected or source.downward_api:
            return self._files(source, where), ()
        if source.empty_dir is not None or not kinds:
            # A volume without a kind is an emptyDir (SetDefaults_Volume).
            return _empty_dir(source.name, source.empty_dir or EmptyDirSource(), f"{where}.emptyDir"), ()
        if source.host_path is not None:
            return _host_path(source.name, source.host_path, f"{where}.hostPath"), ()
        return _external(source, where), ()

    def _files(self, source: WireVolume, where: str) -> FilesVolume:
        if source.name not in self.mounted:
            return FilesVolume(source.name, secret=source.secret is not None)
        sent = self.projector.sent
        if source.config_map is not None:
            where, kind = f"{where}.configMap", source.config_map
            contents = config_map_contents(sent.config_maps.get(kind.name or ""), where)
            mode = file_mode(kind.default_mode, DEFAULT_MODE, f"{where}.defaultMode")
            return FilesVolume(source.name, distinct(keys_to_files(contents, kind.items, mode, bool(kind.optional), where), where))
        if source.secret is not None:
            where, secret = f"{where}.secret", source.secret
            contents = secret_contents(sent.secrets.get(secret.secret_name or ""), where)
            mode = file_mode(secret.default_mode, DEFAULT_MODE, f"{where}.defaultMode")
            files = keys_to_files(contents, secret.items, mode, bool(secret.optional), where)
            return FilesVolume(source.name, distinct(files, where), secret=True)
        if source.downward_api is not None:
            return self.projector.downward_volume(source.name, source.downward_api, f"{where}.downwardAPI")
        return FilesVolume(source.name)


def _kinds(source: WireVolume) -> list[str]:
    return [name for name in source.model_fields_set if name != "name" and getattr(source, name) is not None]


def _empty_dir(name: str, source: EmptyDirSource, where: str) -> EmptyDirVolume:
    medium = source.medium or ""
    if medium not in ("", "Memory"):
        raise refused(f"{where}.medium", "must be empty or Memory")
    limit = None if source.size_limit is None else whole(source.size_limit, f"{where}.sizeLimit")
    # A limit of zero means none (kubernetes pkg/volume/emptydir).
    return EmptyDirVolume(name, medium == "Memory", limit or None)


def _host_path(name: str, source: HostPathSource, where: str) -> HostPathVolume:
    if (source.type or "") not in _HOST_PATH_TYPES:
        raise invalid(f"{where}.type", "must be one of the types that Kubernetes knows, such as Directory")
    return HostPathVolume(name, absolute(source.path, f"{where}.path"), source.type or "")


def _external(source: WireVolume, where: str) -> ExternalVolume:
    if source.persistent_volume_claim is not None:
        claim = source.persistent_volume_claim
        name = check_subdomain(claim.claim_name, f"{where}.persistentVolumeClaim.claimName")
        return ExternalVolume(source.name, "persistentVolumeClaim", name, bool(claim.read_only))
    if source.nfs is not None:
        if not _SERVER.fullmatch(source.nfs.server):
            raise invalid(f"{where}.nfs.server", "must be a host name or an IP address")
        path = absolute(source.nfs.path, f"{where}.nfs.path")
        return ExternalVolume(source.name, "nfs", f"{source.nfs.server}:{path}", bool(source.nfs.read_only))
    if source.csi is not None:
        return ExternalVolume(source.name, "csi", source.csi.driver, bool(source.csi.read_only), dict(source.csi.volume_attributes or {}))
    if source.ephemeral is not None:
        return _ephemeral(source.name, source.ephemeral, f"{where}.ephemeral.volumeClaimTemplate")
    (kind, body), *_ = ((k, v) for k, v in (source.model_extra or {}).items() if v is not None)
    return ExternalVolume(source.name, kind, source.name, kind == "image" or _is_read_only(body), _attributes(body))


def _ephemeral(name: str, source: EphemeralSource, where: str) -> ExternalVolume:
    """What the claim asks for; its metadata means nothing to a backend, which names and labels its own."""
    if source.volume_claim_template is None:
        raise invalid(where, "must be there")
    spec, where = source.volume_claim_template.spec, f"{where}.spec"
    for other, value in (spec.model_extra or {}).items():
        if value is not None:
            raise refused(f"{where}.{other}", "is not supported: only accessModes, resources and storageClassName are")
    if spec.volume_mode not in (None, "Filesystem"):
        raise refused(f"{where}.volumeMode", "must be Filesystem")
    storage = (spec.resources.requests if spec.resources else None) or {}
    if "storage" not in storage:
        raise invalid(f"{where}.resources.requests.storage", "must be there")
    if not spec.access_modes:
        raise invalid(f"{where}.accessModes", "must name at least one")
    asked = {"accessModes": ",".join(spec.access_modes), "storage": str(whole(storage["storage"], f"{where}.resources.requests.storage"))}
    return ExternalVolume(name, "ephemeral", spec.storage_class_name or "", False, asked)


def _is_read_only(body: Any) -> bool:
    return isinstance(body, dict) and body.get("readOnly") is True


def _attributes(body: Any) -> dict[str, str]:
    """The plain values of an unknown kind, as texts."""
    return {key: str(value) for key, value in body.items() if isinstance(value, str | int)} if isinstance(body, dict) else {}
