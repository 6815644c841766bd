"""mount(2) and umount2(2). Not the programs mount(8) and umount(8), which resolve paths again and may hang on them. All raise OSError."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 1 << 1, 1 << 2, 1 << 12, 1 << 14, 1 << 18, 1 << 19
MNT_DETACH, UMOUNT_NOFOLLOW = 1 << 1, 1 << 3


def mount_tmpfs(target: Path, flags: int = 0, options: str = "") -> None:
    mount("tmpfs", target, "tmpfs", flags, options)


def bind(descriptor: int, target: Path, *, shared: bool = False) -> None:
    """Binds what is open, with all that is mounted below it now or later. `shared`: mounts made below `target` appear there too."""
    mount(f"/proc/self/fd/{descriptor}", target, "", MS_BIND | MS_REC)
    if not shared:
        mount("", target, "", MS_REC | MS_SLAVE)


def detach(target: str | Path) -> None:
    """Unmounts it with all below, here alone: an unmount in a shared mount would reach the place that was bound."""
    mount("", target, "", MS_REC | MS_PRIVATE)
    checked(libc().umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW))


def mount(source: str, target: str | Path, kind: str, flags: int, options: str = "") -> None:
    checked(libc().mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()))


def checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
