"""A sub-path of a volume as a path that nobody can swap under the engine: opened link by link, then pinned by a bind mount of our own.

The engine follows links when it binds a path, later and as root. A container that writes to the volume meanwhile could exchange a
directory for a link to any file of the host (CVE-2017-1002101), so the engine gets a path that no container can reach. As the kubelet
does it: kubernetes `pkg/volume/util/subpath/subpath_linux.go` (SafeMakeDir, doBindSubPath).
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from interlink_common.agent.runtime import StartError
from interlink_docker.files import FAILED_MOUNT, private_directory

MS_NOSUID, MS_NODEV, MS_BIND = 2, 4, 4096
MNT_DETACH = 2
NAME = "subpaths"
MAX_LINKS = 40
"""As the kernel has it: path_resolution(7)."""


def below(base: Path, sub_path: str, *, create: bool) -> Path:
    """The real path of `sub_path` in the volume at `base`, made as a directory where it is missing: for volumes that no pod can write.

    Links that stay in the volume are followed. Raises StartError for one that leaves it, or if it can't be reached.
    """
    descriptor = opened(base, sub_path, create=create)
    try:
        return Path(f"/proc/self/fd/{descriptor}").readlink()
    finally:
        os.close(descriptor)


def pinned(base: Path, sub_path: str, pod_directory: Path, name: str, *, create: bool) -> Path:
    """As `below`, for volumes that a pod can write: a bind mount below the pod's directory, renewed each time, removed with the pod.

    The pins lie on a tmpfs, so an engine that does not see our mounts misses the path instead of binding an empty directory.
    """
    pins = pod_directory / NAME
    descriptor = opened(base, sub_path, create=create)
    try:
        if not os.path.ismount(pins):
            private_directory(pins)
            mount("tmpfs", pins, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700")
        pin = pins / name
        if os.path.ismount(pin):
            libc().umount2(os.fsencode(pin), MNT_DETACH)
        if pin.is_dir():
            pin.rmdir()
        pin.unlink(missing_ok=True)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            pin.mkdir()
        else:
            pin.touch()
        mount(f"/proc/self/fd/{descriptor}", pin, "", MS_BIND)
    except OSError as error:
        reason = f"needs the plugin as root, with the right to mount, beside the engine: {error.strerror}"
        raise StartError(FAILED_MOUNT, f"subPath {sub_path} {reason}") from None
    finally:
        os.close(descriptor)
    return pin


def opened(base: Path, sub_path: str, *, create: bool) -> int:
    """A descriptor of `sub_path`. Each part is opened in the one before and no link by the kernel, so none can lead out, not even to be
    looked at. Raises StartError."""
    root, parts = base.resolve(), PurePosixPath(sub_path).parts
    for _ in range(MAX_LINKS):
        if parts[:1] == ("/",) or ".." in parts:
            raise StartError(FAILED_MOUNT, f"subPath {sub_path} leaves its volume")
        try:
            found = _walk(root, parts, create=create)
        except OSError as error:
            what = "does not exist in its volume" if isinstance(error, FileNotFoundError) else f"can not be reached: {error.strerror}"
            raise StartError(FAILED_MOUNT, f"subPath {sub_path} {what}") from None
        if isinstance(found, int):
            return found
        parts = found.parts
    raise StartError(FAILED_MOUNT, f"subPath {sub_path} has too many links")


def _walk(root: Path, parts: Sequence[str], *, create: bool) -> int | PurePosixPath:
    """The descriptor at the end, or, where a link was met, the path to walk instead. Raises OSError."""
    current = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for depth, part in enumerate(parts):
        try:
            following = _step(current, part, create=create)
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


def _step(directory: int, name: str, *, create: bool) -> int:
    """One part further. What is made gets the mode of its parent. Raises OSError."""
    try:
        return os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        if not create:
            raise
    os.mkdir(name, dir_fd=directory)
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    os.fchmod(made, stat.S_IMODE(os.fstat(directory).st_mode))
    return made


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """mount(2). Not mount(8), which resolves its arguments again. Raises OSError."""
    if libc().mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
