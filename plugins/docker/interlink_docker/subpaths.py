"""Paths in volumes that nobody can swap under the engine: opened link by link, then bind-mounted by the plugin.

The engine follows links when it binds a path, later and as root. A container that writes to the volume meanwhile could exchange a
directory for a link to any file of the host (CVE-2017-1002101), so the engine gets a path that no container can reach. As the kubelet
does it: kubernetes `pkg/volume/util/subpath/subpath_linux.go` (SafeMakeDir, doBindSubPath).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from interlink_common.agent.runtime import StartError
from interlink_docker import files
from interlink_docker.files import FAILED_MOUNT, private_directory

DIRECTORY = "subpaths"
MAX_LINKS = 40
"""As the kernel has it: path_resolution(7)."""


def resolve(base: Path, sub_path: str, *, create: bool) -> Path:
    """The real path of `sub_path` in the volume at `base`, made as a directory where it is missing: for volumes that no pod can write.

    Links that stay in the volume are followed. Raises StartError for one that leaves it, or if it can't be reached.
    """
    descriptor = open_below(base, sub_path, create=create)
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    finally:
        os.close(descriptor)


def bind_mounted(base: Path, sub_path: str, pod_directory: Path, name: str, *, create: bool, shared: bool = False) -> Path:
    """As `resolve`, for volumes that a pod can write: a bind mount of it. Raises StartError, also where the plugin may not mount."""
    descriptor = open_below(base, sub_path, create=create)
    try:
        return bind_mount(descriptor, pod_directory, name, shared=shared)
    except OSError as error:
        reason = f"needs the plugin as root, with the right to mount, beside the engine: {error.strerror}"
        raise StartError(FAILED_MOUNT, f"{f'subPath {sub_path}' if sub_path else 'the volume'} {reason}") from None
    finally:
        os.close(descriptor)


def bind_mount(descriptor: int, pod_directory: Path, name: str, *, shared: bool = False) -> Path:
    """A bind mount of an open file or directory, below the pod's directory; renewed each time, removed with the pod. Raises OSError.

    The bind mounts lie on a tmpfs, so an engine that does not see our mounts misses the path instead of binding an empty directory.
    `shared`: mounts made in it reach the host (mountPropagation Bidirectional).
    """
    directory = pod_directory / DIRECTORY
    if not os.path.ismount(directory):
        private_directory(directory)
        files.mount_tmpfs(directory, files.MS_NOSUID | files.MS_NODEV, "mode=0700")
    target = directory / name
    if os.path.ismount(target):
        files.unmount_tree(target)
    if target.is_dir():
        target.rmdir()
    target.unlink(missing_ok=True)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        target.mkdir()
    else:
        target.touch()
    files.bind_open_file(descriptor, target, shared=shared)
    return target


def open_below(base: Path, sub_path: str, *, create: bool) -> int:
    """A descriptor of `sub_path`. Each part is opened in the one before and no link by the kernel, so none can lead out, not even to be
    looked at. Raises StartError."""
    parts = PurePosixPath(sub_path).parts
    for _ in range(MAX_LINKS):
        if parts[:1] == ("/",) or ".." in parts:
            raise StartError(FAILED_MOUNT, f"subPath {sub_path} leaves its volume")
        try:
            found = _walk(base, parts, create=create)
        except OSError as error:
            what = "does not exist in its volume" if isinstance(error, FileNotFoundError) else f"cannot be reached: {error.strerror}"
            raise StartError(FAILED_MOUNT, f"subPath {sub_path} {what}") from None
        if isinstance(found, int):
            return found
        parts = found.parts
    raise StartError(FAILED_MOUNT, f"subPath {sub_path} has too many links")


def _walk(root: Path, parts: Sequence[str], *, create: bool) -> int | PurePosixPath:
    """The descriptor at the end, or, where a link was met, the path to walk instead. Raises OSError."""
    current = os.open(root, os.O_PATH)
    for depth, part in enumerate(parts):
        try:
            following = open_child(current, part, create=create)
        finally:
            os.close(current)
        current = following
        if stat.S_ISLNK(os.fstat(current).st_mode):
            try:
                target = os.readlink("", dir_fd=current)
            finally:
                os.close(current)
            return PurePosixPath(os.path.normpath(PurePosixPath(*parts[:depth], target, *parts[depth + 1 :])))
    return current


def open_child(directory: int, name: str, *, create: bool, mode: int | None = None) -> int:
    """Opens an entry of a directory; a link is opened itself. A new directory gets `mode`, or else that of its parent. Raises OSError."""
    try:
        return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        if not create:
            raise
    os.mkdir(name, dir_fd=directory)
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    os.fchmod(made, stat.S_IMODE(os.fstat(directory).st_mode) if mode is None else mode)
    return made
