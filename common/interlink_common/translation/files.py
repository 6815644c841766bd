"""ConfigMaps and Secrets as files: keys to paths, `items`, modes, optional keys. interLink sends the objects whole."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from interlink_common.contract.requests import ConfigMap, CreateRequest, Secret
from interlink_common.contract.volumes import KeyToPath
from interlink_common.model.workload import File
from interlink_common.translation.checks import bounded, check_config_key, inside, invalid, refused

DEFAULT_MODE = 0o644


@dataclass(frozen=True)
class SentObjects:
    """What came with the pod, by name: objects that several containers mount, or one twice, are listed that often and are the same.

    `projected` is by volume: path to content.
    """

    config_maps: dict[str, ConfigMap] = field(default_factory=dict)
    secrets: dict[str, Secret] = field(default_factory=dict)
    projected: dict[str, dict[str, str]] = field(default_factory=dict)


def sent_objects(request: CreateRequest) -> SentObjects:
    """The objects of a create request, each once; the first of a name counts."""
    found = SentObjects()
    for container in request.container or ():
        for config_map in container.config_maps or ():
            found.config_maps.setdefault(config_map.metadata.name or "", config_map)
        for secret in container.secrets or ():
            found.secrets.setdefault(secret.metadata.name or "", secret)
        for projected in container.projectedvolumemaps or ():
            found.projected.setdefault(projected.metadata.name or "", projected.data or {})
    return found


def config_map_contents(config_map: ConfigMap | None, where: str) -> dict[str, bytes] | None:
    """Content by key; None if there is no such object. Raises BadRequest."""
    if config_map is None:
        return None
    return {
        **{key: text.encode() for key, text in (config_map.data or {}).items()},
        **_decoded(config_map.binary_data, where),
    }


def secret_contents(secret: Secret | None, where: str) -> dict[str, bytes] | None:
    """Content by key; None if there is no such object. Raises BadRequest."""
    return None if secret is None else _decoded(secret.data, where)


def keys_to_files(
    contents: Mapping[str, bytes] | None, items: Sequence[KeyToPath] | None, default_mode: int, optional: bool, where: str
) -> list[File]:
    """All keys as files, or those of `items`. `contents` None: the object does not exist.

    Raises BadRequest for a bad key, path or mode, Refused for a missing object or key that is not optional.
    """
    if contents is None:
        if optional:
            return []
        raise refused(where, "names an object that did not come with the pod: create it or mark it optional")
    if not items:
        return [File(check_config_key(key, where), default_mode, contents[key]) for key in sorted(contents)]
    files: list[File] = []
    for index, item in enumerate(items):
        field_path = f"{where}.items[{index}]"
        path, mode = inside(item.path, f"{field_path}.path"), file_mode(item.mode, default_mode, f"{field_path}.mode")
        if item.key in contents:
            files.append(File(path, mode, contents[item.key]))
        elif not optional:
            raise refused(f"{field_path}.key", "names a key that does not exist: add it or mark the volume optional")
    return files


def file_mode(mode: int | None, default: int, field_path: str) -> int:
    """`mode` within 0 to 0o777, or the default. Raises BadRequest."""
    return default if mode is None else bounded(mode, 0, 0o777, field_path)


def distinct(files: Sequence[File], where: str) -> tuple[File, ...]:
    """The files sorted by path. Raises BadRequest if two have one path, or one is a directory of another."""
    paths = sorted(file.path for file in files)
    taken = set(paths)
    if len(taken) < len(paths):
        raise invalid(where, "puts two keys at one path")
    for path in paths:
        parts = path.split("/")
        if any("/".join(parts[:depth]) in taken for depth in range(1, len(parts))):
            raise invalid(where, "has a path that is a file and a directory at once")
    return tuple(sorted(files, key=lambda file: file.path))


def _decoded(data: Mapping[str, str] | None, where: str) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(text, validate=True) for key, text in (data or {}).items()}
    except (binascii.Error, ValueError):
        raise invalid(where, "names an object with data that is not base64") from None
