"""Projected volumes. interLink resolves them to one map of path to content, and loses parts of them without a word.

Lost are secret sources, binaryData, and the downward API's labels['x'] and resourceFieldRef items. The pod's spec still shows what
should be there, so it is filled in from the objects sent with the pod and from the pod itself, or refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from interlink_common.contract.volumes import ConfigMapSource, DownwardFile, DownwardSource, ProjectedSource, Projection, SecretSource
from interlink_common.model.workload import File, FilesVolume
from interlink_common.translation.checks import inside, invalid, refused
from interlink_common.translation.downward import DownwardApi
from interlink_common.translation.files import (
    DEFAULT_MODE,
    SentObjects,
    config_map_contents,
    distinct,
    file_mode,
    keys_to_files,
    secret_contents,
)

_AUTOMATIC_VOLUME_PREFIX = "kube-api-access-"
_NOT_SENT = "did not come with the pod: allow projected volumes in the virtual kubelet"


@dataclass(frozen=True)
class Projector:
    """Makes the files of the projected and downwardAPI volumes of one pod."""

    sent: SentObjects
    downward: DownwardApi

    def downward_volume(self, name: str, source: DownwardSource, where: str) -> FilesVolume:
        """A downwardAPI volume; interLink usually sends it as a projected one. Raises BadRequest, Refused."""
        mode = file_mode(source.default_mode, DEFAULT_MODE, f"{where}.defaultMode")
        files = [self._downward_file(item, {}, mode, f"{where}.items[{i}]") for i, item in enumerate(source.items or ())]
        return FilesVolume(name, distinct(files, where))

    def volume(self, name: str, source: ProjectedSource, where: str) -> tuple[FilesVolume, tuple[str, ...]]:
        """(the volume, warnings). Raises BadRequest, Refused naming the source that can't be filled."""
        mode = file_mode(source.default_mode, DEFAULT_MODE, f"{where}.defaultMode")
        sources = source.sources or []
        contents = {inside(path, where): text.encode() for path, text in self.sent.projected.get(name, {}).items()}
        if not contents and name.startswith(_AUTOMATIC_VOLUME_PREFIX):
            return FilesVolume(name, secret=True), (f"volume {name} is empty, because interLink sent no service account token",)
        named = _named_paths(sources, where)
        if name not in self.sent.projected:
            self._refuse_absent_config_maps(sources, where)
        files: dict[str, File] = {}
        for index, projection in enumerate(sources):
            made = self._files(projection, contents, named, mode, f"{where}.sources[{index}]")
            files.update({file.path: file for file in made})
        lost = [s.secret.name for s in sources if s.secret and s.secret.optional and s.secret.name not in self.sent.secrets]
        warnings = tuple(f"volume {name} lacks the optional secret {secret}, because interLink did not send it" for secret in lost)
        holds_secrets = any(s.secret or s.service_account_token for s in sources)
        return FilesVolume(name, distinct(list(files.values()), where), holds_secrets), warnings

    def _refuse_absent_config_maps(self, sources: Sequence[Projection], where: str) -> None:
        """Without the volume's map, a ConfigMap that is projected whole can't be told from an empty one."""
        for index, source in enumerate(sources):
            config_map = source.config_map
            if config_map and not config_map.items and not config_map.optional and config_map.name not in self.sent.config_maps:
                raise refused(f"{where}.sources[{index}].configMap", _NOT_SENT)

    def _files(self, source: Projection, contents: Mapping[str, bytes], named: Set[str], mode: int, where: str) -> list[File]:
        if source.config_map is not None:
            return self._config_map(source.config_map, contents, named, mode, f"{where}.configMap")
        if source.secret is not None:
            return self._secret(source.secret, mode, f"{where}.secret")
        if source.downward_api is not None:
            items = enumerate(source.downward_api.items or ())
            return [self._downward_file(item, contents, mode, f"{where}.downwardAPI.items[{i}]") for i, item in items]
        if source.service_account_token is not None:
            path = inside(source.service_account_token.path, f"{where}.serviceAccountToken.path")
            if path not in contents:
                raise refused(f"{where}.serviceAccountToken", _NOT_SENT)
            return [File(path, mode, contents[path])]
        raise refused(where, f"is of a kind that is not supported: {' '.join(source.model_extra or ()) or 'none'}")

    def _config_map(self, source: ConfigMapSource, contents: Mapping[str, bytes], named: Set[str], mode: int, where: str) -> list[File]:
        whole = config_map_contents(self.sent.config_maps.get(source.name or ""), where)
        if not source.items:
            # Not sent as an object: its keys are those of the map that no source names.
            unnamed = {path: data for path, data in contents.items() if path not in named}
            chosen = unnamed if whole is None else {key: contents.get(key, data) for key, data in whole.items()}
            return keys_to_files(chosen, None, mode, True, where)
        files: list[File] = []
        for index, item in enumerate(source.items):
            path = inside(item.path, f"{where}.items[{index}].path")
            if path in contents:
                files.append(File(path, file_mode(item.mode, mode, f"{where}.items[{index}].mode"), contents[path]))
            else:
                files += keys_to_files(whole, [item], mode, bool(source.optional), where)
        return files

    def _secret(self, source: SecretSource, mode: int, where: str) -> list[File]:
        secret = secret_contents(self.sent.secrets.get(source.name or ""), where)
        return keys_to_files(secret, source.items, mode, bool(source.optional), where)

    def _downward_file(self, item: DownwardFile, contents: Mapping[str, bytes], mode: int, where: str) -> File:
        path, mode = inside(item.path, f"{where}.path"), file_mode(item.mode, mode, f"{where}.mode")
        if path in contents:
            return File(path, mode, contents[path])
        if item.field_ref is not None:
            return File(path, mode, self.downward.field(item.field_ref, where).encode())
        if item.resource_field_ref is not None:
            return File(path, mode, self.downward.resource(item.resource_field_ref, where).encode())
        raise invalid(where, "must have a fieldRef or a resourceFieldRef")


def _named_paths(sources: Sequence[Projection], where: str) -> Set[str]:
    """Paths that the sources name one by one. Raises BadRequest if one is named twice; whole objects may overlap, the last wins."""
    paths = [
        inside(entry.path, where)
        for source in sources
        for entry in (
            *((source.config_map and source.config_map.items) or ()),
            *((source.secret and source.secret.items) or ()),
            *((source.downward_api and source.downward_api.items) or ()),
            *([source.service_account_token] if source.service_account_token else ()),
        )
    ]
    if len(set(paths)) < len(paths):
        raise invalid(where, "puts two keys at one path")
    return set(paths)
