"""hostPath volumes: checked against what the operator allows, and opened so that nobody can swap what was checked.

All functions block; `volumes` calls them in threads.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from interlink_common.agent.runtime import StartError
from interlink_common.model import site
from interlink_docker.files import FAILED_MOUNT
from interlink_docker.subpaths import open_child

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
def opened(path: str, kind: str, allow: Iterable[str]) -> Iterator[tuple[int, bool]]:
    """(a descriptor of a hostPath volume, whether it is read-only), made as its type says. Raises StartError.

    `allow`: the setting. Links are resolved, and what counts is where they end: the result must again be below an allowed directory,
    and a link from one into a read-only one does not make it writable.
    """
    rules = site.resolved(site.host_path_rules(allow), os.path.realpath)
    real = os.path.realpath(path)
    directories = site.holding(real, rules)
    if not directories:
        raise StartError(FAILED_MOUNT, f"hostPath {path} leads outside of what the operator allows in volumes.host_path_allow")
    try:
        descriptor = _walk(Path(real), kind, Path(directories[0]), may_make=not rules[directories[-1]])
    except OSError as error:
        raise StartError(FAILED_MOUNT, f"hostPath {path}: {error.strerror}") from None
    except LookupError:
        raise StartError(FAILED_MOUNT, f"hostPath {path} leads outside of what the operator allows in volumes.host_path_allow") from None
    try:
        if kind in KINDS and not KINDS[kind](os.fstat(descriptor).st_mode):
            raise StartError(FAILED_MOUNT, f"hostPath {path} is not of type {kind}")
        yield descriptor, rules[directories[-1]]
    finally:
        os.close(descriptor)


def _walk(real: Path, kind: str, root: Path, *, may_make: bool) -> int:
    """A descriptor of a path without links, from the outermost allowed directory down. Raises OSError, or LookupError for a link: it was
    put there after the path was resolved."""
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
            following = open_child(current, part, create=directory_mode is not None, mode=directory_mode)
        finally:
            os.close(current)
        current = following
        if stat.S_ISLNK(os.fstat(current).st_mode):
            os.close(current)
            raise LookupError
    return current
