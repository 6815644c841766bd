"""What the operator offers to pods: storage by the maps of volumes, and directories of the node. Pure. `images` has the rest.

A plugin asks here whether a pod may have something, and what carries the pod asks here again what it is: both get the same answer.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from interlink_common.model.patterns import Rank, compiled, fitting_key, named_in_errors, rank_of_namespace, split
from interlink_common.model.workload import CvmfsVolume, ExternalVolume

READ_ONLY = ":ro"
CLAIM = "persistentVolumeClaim"
NOUNS = {CLAIM: ("the claim", "claims"), "nfs": ("the NFS export", "nfs"), "csi": ("the CSI driver", "csi")}
"""Kind of an ExternalVolume -> what people call it, and the setting that maps it."""

Change = Callable[[str], str]

_VARIABLE = re.compile(r"\$\{[^{}]*\}|\{([^{}]*)\}")
"""`${NAME}` belongs to the node's environment."""
_SERVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*")
_VALUE = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
"""What a variable may be bound to: part of a path's segment, never a path."""


class NotOffered(Exception):  # noqa: N818  an answer
    """The site has nothing for what the pod asks; `setting` is the name of the map that the operator could add it to."""

    def __init__(self, words: str, setting: str) -> None:
        super().__init__(words)
        self.setting = setting

    def remedy(self, group: str) -> str:
        """The words with what the operator can do; `group` holds the setting."""
        return f"{self} here; the operator can allow it with {group}.{self.setting}"


class VolumeMaps(Protocol):
    """Settings and options that map volumes: key -> target, `:ro` at its end for read-only."""

    @property
    def claims(self) -> Mapping[str, str]: ...
    @property
    def nfs(self) -> Mapping[str, str]: ...
    @property
    def csi(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Storage:
    """What the site has for a volume. `below`: the place in the target that is meant, "" for all of it; the pod chose it."""

    target: str
    read_only: bool = False
    below: str = ""


def storage(volume: ExternalVolume, namespace: str, maps: VolumeMaps, expand: Change = str) -> Storage:
    """What the site has for a claim, an NFS export or a CSI driver. Raises NotOffered.

    `expand` is done to the operator's words before any of the pod's are put between them.
    """
    noun, setting = NOUNS.get(volume.kind, (volume.kind, "claims"))
    missing = NotOffered(f"{noun} {volume.key} is not mapped", setting)
    if volume.kind == "nfs":
        return _export(volume.key, namespace, maps.nfs, expand, missing)
    known = {CLAIM: maps.claims, "csi": maps.csi}.get(volume.kind, {})
    found = fitting_key(known, namespace, volume.key)
    if found is None:
        raise missing
    key, values = found
    for variable, value in values.items():
        if not _VALUE.fullmatch(value):
            raise NotOffered(f"{noun} {volume.key} matches {key}, but the value of {{{variable}}} cannot be part of a path", setting)
    target, read_only = without_mark(known[key])
    return Storage(filled(target, values, expand), read_only)


def _export(key: str, namespace: str, known: Mapping[str, str], expand: Change, missing: NotOffered) -> Storage:
    """Of NFS: the entry with the longest path that holds this one, on the same server."""
    server, colon, path = key.partition(":/")
    if not colon or ".." in path.split("/"):
        raise missing
    path = normal(f"/{path}")
    found: list[tuple[Rank, str, str]] = []
    for entry in known:
        of_namespace, of_server, outer = split_export(entry)
        pattern = compiled(of_namespace) if of_namespace else None
        if of_server == server.lower() and is_below(path, outer) and (pattern is None or pattern.bound(namespace) is not None):
            found.append(((*rank_of_namespace(pattern), -len(outer), pattern is None), entry, outer))
    if not found:
        raise missing
    _, entry, outer = min(found)
    target, read_only = without_mark(known[entry])
    return Storage(filled(target, {}, expand), read_only, posixpath.relpath(path, outer) if path != outer else "")


def split_export(entry: str) -> tuple[str, str, str]:
    """[namespace/]server:/path as (namespace, server, path). Raises ValueError."""
    front, colon, path = entry.partition(":/")
    namespace, _, server = front.rpartition("/")
    if not colon or not _SERVER.fullmatch(server) or "/" in namespace or ".." in path.split("/"):
        raise ValueError("is not server:/path or namespace/server:/path")
    return namespace, server.lower(), normal(f"/{path}")


def without_mark(target: str) -> tuple[str, bool]:
    """A target without `:ro`, and whether it had one."""
    return (target[: -len(READ_ONLY)], True) if target.endswith(READ_ONLY) else (target, False)


def filled(target: str, values: Mapping[str, str], expand: Change = str) -> str:
    """The target with values for its variables."""
    text, begin = "", 0
    for found in _VARIABLE.finditer(target):
        if found[1] is not None:
            text += expand(target[begin : found.start()]) + values[found[1]]
            begin = found.end()
    return text + expand(target[begin:])


def variables(target: str) -> list[str]:
    """The names in braces. Raises ValueError for a brace alone."""
    if set("{}") & set(_VARIABLE.sub("", target)):
        raise ValueError("has a brace that holds no {name}")
    return [found[1] for found in _VARIABLE.finditer(target) if found[1] is not None]


def normal(path: str) -> str:
    """An absolute path with single slashes."""
    return posixpath.normpath(f"/{path.lstrip('/')}")


def is_below(path: str, directory: str) -> bool:
    """Whether a normal path is the directory or in it."""
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")


def host_path_rules(allow: Iterable[str]) -> dict[str, bool]:
    """Directories of `host_path_allow` -> whether what is in them is read-only: what is there twice is."""
    rules: dict[str, bool] = {}
    for directory, read_only in filter(lambda rule: is_path(rule[0]), map(without_mark, allow)):
        rules[normal(directory)] = read_only or rules.get(normal(directory), False)
    return rules


def resolved(rules: Mapping[str, bool], real: Change) -> dict[str, bool]:
    """The directories without links. One below another is not resolved: a pod that may write there could have replaced it."""
    found: dict[str, bool] = {}
    for directory, read_only in rules.items():
        outer = holding(directory, rules)[0]
        path = normal(posixpath.join(real(outer), posixpath.relpath(directory, outer)))
        found[path] = read_only or found.get(path, False)
    return found


def host_path(path: str, allow: Iterable[str], real: Change = normal) -> bool:
    """Whether a hostPath is read-only. Raises NotOffered where it is not allowed.

    Both what the pod says and where links lead (`real`) must be below an allowed directory, and what is read-only by either is.
    """
    rules = host_path_rules(allow)
    read_only = False
    for place, directories in ((path, rules), (real(path), resolved(rules, real))):
        found = holding(place, directories)
        if not found:
            raise NotOffered(f"the host path {path} is not allowed", "host_path_allow")
        read_only = read_only or directories[found[-1]]
    return read_only


def holding(path: str, rules: Mapping[str, bool]) -> list[str]:
    """The directories that hold a path, the innermost last: its rule is the one that counts."""
    if not path.startswith("/") or ".." in path.split("/"):
        return []
    return sorted((directory for directory in rules if is_below(normal(path), directory)), key=len)


def cvmfs_directories(volume: CvmfsVolume, root: str) -> tuple[str, ...]:
    """What must be there before a container starts: each repository, else what the pod mounts."""
    return tuple(posixpath.join(root, name) for name in volume.repositories) or (posixpath.join(root, volume.sub_path).rstrip("/"),)


def require_names(entries: Mapping[str, str], is_target: Callable[[str], bool], form: str) -> None:
    """Raises ValueError for an entry of a map of claims or CSI drivers that can't mean anything. `form`: what a target is, in words."""
    for key, target in entries.items():
        with named_in_errors(key):
            namespace, name = split(key)
            bound = [*name.variables, *(namespace.variables if namespace else ())]
            if len(bound) > len(set(bound)):
                raise ValueError("has a {name} twice")
            _require_target(target, bound, is_target, form)


def require_exports(entries: Mapping[str, str], is_target: Callable[[str], bool], form: str) -> None:
    """The same for a map of NFS exports, whose keys are no patterns but for the namespace."""
    seen: dict[tuple[str, str, str], str] = {}
    for key, target in entries.items():
        with named_in_errors(key):
            export = split_export(key)
            if export[0]:
                compiled(export[0])
            other = seen.setdefault(export, key)
            if other != key:
                raise ValueError(f"is the same as {other}")
            _require_target(target, (), is_target, form)


def require_directories(entries: Iterable[str], *, marked: bool = True) -> None:
    """Raises ValueError for a directory that is not absolute, or climbs. `marked`: it may have `:ro` at its end."""
    for entry in entries:
        path, read_only = without_mark(entry)
        if not is_path(path) or (read_only and not marked):
            raise ValueError(f"must hold absolute paths without two dots as a component, not {entry or 'an empty text'}")


def is_path(target: str) -> bool:
    """An absolute path that does not climb."""
    return target.startswith("/") and ".." not in target.split("/")


def is_node_path(target: str) -> bool:
    """The same, or one that begins with a variable of the node's environment."""
    return is_path(target) or (target.startswith("$") and ".." not in target.split("/"))


def _require_target(target: str, bound: Collection[str], is_target: Callable[[str], bool], form: str) -> None:
    for variable in variables(target):
        if variable not in bound:
            raise ValueError(f"maps to a target with {{{variable}}}, which the key does not have")
    if not is_target(filled(without_mark(target)[0], dict.fromkeys(bound, "x"))):
        raise ValueError(f"must map to {form}, not to {target or 'an empty text'}")
