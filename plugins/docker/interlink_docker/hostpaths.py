"""hostPath volumes: checked against what the operator allows, and opened so that nobody can swap what was checked.

All functions block; `volumes` calls them in threads.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from interlink_common.agent.runtime import StartError
from interlink_docker.files import FAILED_MOUNT
from interlink_docker.subpaths import step

KINDS = {
    "Directory": stat.S_ISDIR,
    "DirectoryOrCreate": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "FileOrCreate": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}
"""v1.HostPathType -> what the path must be."""
DIRECTORY_MODE, FILE_MODE = 0o755, 0o644
"""Kubernetes: "hostPath volume types", of what DirectoryOrCreate and FileOrCreate make."""


@contextmanager
def opened(path: str, kind: str, allowed: Mapping[Path, bool]) -> Iterator[tuple[int, bool]]:
    """(a descriptor of a hostPath volume, whether it is read-only), made as its type says. Raises StartError.

    `allowed`: the operator's directories, and whether each is read-only. Links are resolved, and what counts is where they end: the
    result must again be below an allowed directory, and a link from one into a read-only one does not make it writable.
    """
    rules = resolved(allowed)
    real = Path(path).resolve()
    try:
        descriptor = _walk(real, kind, rules)
    except OSError as error:
        raise StartError(FAILED_MOUNT, f"hostPath {path}: {error.strerror}") from None
    except LookupError:
        raise StartError(FAILED_MOUNT, f"hostPath {path} leads outside of what the operator allows in volumes.host_path_allow") from None
    try:
        if kind in KINDS and not KINDS[kind](os.fstat(descriptor).st_mode):
            raise StartError(FAILED_MOUNT, f"hostPath {path} is not of type {kind}")
        yield descriptor, is_read_only(real, rules)
    finally:
        os.close(descriptor)


def resolved(allowed: Mapping[Path, bool]) -> dict[Path, bool]:
    """The operator's directories without links. One below another is not resolved: a pod that may write there could have replaced it."""
    found = {}
    for directory, read_only in allowed.items():
        outer = min((other for other in allowed if directory.is_relative_to(other)), key=lambda other: len(other.parts))
        found[outer.resolve() / directory.relative_to(outer)] = read_only
    return found


def is_read_only(real: Path, rules: Mapping[Path, bool]) -> bool:
    """By the innermost directory that holds the path."""
    return rules[max(holding(real, rules), key=lambda directory: len(directory.parts))]


def holding(real: Path, rules: Mapping[Path, bool]) -> list[Path]:
    return [directory for directory in rules if real.is_relative_to(directory)]


def _walk(real: Path, kind: str, rules: Mapping[Path, bool]) -> int:
    """A descriptor of a path without links, from the outermost allowed directory down. Raises OSError, or LookupError if none holds it.

    A link met on the way was put there after the path was resolved.
    """
    root = min(holding(real, rules), key=lambda directory: len(directory.parts), default=None)
    if root is None:
        raise LookupError
    may_make = not is_read_only(real, rules)
    if kind == "DirectoryOrCreate":
        return _descend(root, real.relative_to(root).parts, DIRECTORY_MODE if may_make else None)
    if kind == "FileOrCreate" and may_make and real != root:
        parent = _descend(root, real.parent.relative_to(root).parts, None)
        try:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(real.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE, dir_fd=parent))
        finally:
            os.close(parent)
    return _descend(root, real.relative_to(root).parts, None)


def _descend(root: Path, parts: tuple[str, ...], directory_mode: int | None) -> int:
    current = os.open(root, os.O_PATH)
    for part in parts:
        try:
            following = step(current, part, create=directory_mode is not None, mode=directory_mode)
        finally:
            os.close(current)
        current = following
        if stat.S_ISLNK(os.fstat(current).st_mode):
            os.close(current)
            raise LookupError
    return current
