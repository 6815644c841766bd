"""The files of a pod below the state directory: written, mounted, measured and removed without ever following a pod's own links out of it.

All functions block; `volumes` calls them in threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import stat
import uuid
from pathlib import Path, PurePosixPath

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import File

FAILED_MOUNT = "FailedMount"
MESSAGE_BYTES = 4096
"""Kubernetes: "Determine the Reason for Pod Failure": at most 4096 bytes of a termination message."""
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 1 << 1, 1 << 2, 1 << 12, 1 << 14, 1 << 18, 1 << 19
MNT_DETACH, UMOUNT_NOFOLLOW = 1 << 1, 1 << 3
"""mount(2) and umount2(2), called directly: mount(8) and umount(8) resolve paths again and may hang on them."""
OCTAL = re.compile(rb"\\([0-3][0-7]{2})")


def private_directory(path: Path) -> None:
    """Makes the directory and its missing parents, nobody else's to enter."""
    if not path.exists():
        private_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def write_files(directory: Path, files: tuple[File, ...], group: int | None) -> None:
    """Fills a configMap, secret or projected volume, all of it or nothing: it appears under its name when it is complete.

    With `group` (fsGroup) the files belong to it and it may read them, as the kubelet does for read-only volumes.
    """
    if directory.exists():
        return
    private_directory(directory.parent)
    building = directory.with_name(f".{directory.name}.building")
    remove_tree(building)
    building.mkdir(mode=0o755)
    made = [building]
    for file in files:
        relative = PurePosixPath(file.path)
        if relative.is_absolute() or ".." in relative.parts:
            raise StartError("CreateContainerConfigError", f"a path of volume {directory.name} leaves the volume")
        for parent in reversed(relative.parents[:-1]):  # not mkdir(parents=True), which recurses once per level
            if not (building / parent).exists():
                (building / parent).mkdir()
                made.append(building / parent)
        target = building / relative
        made.append(target)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(file.data)
        target.chmod(file.mode)
    for path in made:
        share_with_group(path, group)
    building.rename(directory)


def share_with_group(path: Path, group: int | None) -> None:
    is_directory = path.is_dir()
    if group is not None:
        os.chown(path, -1, group)
        path.chmod(stat.S_IMODE(path.stat().st_mode) | (0o2550 if is_directory else 0o440))
    elif is_directory:
        path.chmod(0o755)


def empty_directory(directory: Path, group: int | None) -> None:
    """A disk emptyDir: everybody in the pod may write (kubelet: emptyDir perm 0777), fsGroup owns what is made in it."""
    if directory.exists():
        return
    private_directory(directory.parent)
    building = directory.with_name(f".{directory.name}.building")
    building.mkdir(exist_ok=True)
    if group is not None:
        os.chown(building, -1, group)
    building.chmod(0o777 if group is None else 0o2777)
    building.rename(directory)


def termination_file(path: Path) -> None:
    """An empty file that any user of the container may write."""
    private_directory(path.parent)
    path.touch(mode=0o600)
    path.chmod(0o666)


def read_message(path: Path) -> str:
    """The end of a termination message; "" if there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(stream.seek(0, os.SEEK_END) - MESSAGE_BYTES, 0))
            return stream.read(MESSAGE_BYTES).decode(errors="replace")
    except OSError:
        return ""


def used_bytes(directory: Path) -> int:
    """What a directory takes on disk. Files that vanish meanwhile count nothing; links are not followed.

    Not os.walk: until Python 3.12 it recurses once per level, and a pod may nest deeper than the recursion limit.
    """
    total, waiting = 0, [os.fspath(directory)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def remove_tree(directory: Path) -> None:
    """Removes a pod's files. What is mounted in there (Bidirectional, bind mounts of ours) is unmounted first, never descended into.

    Not shutil.rmtree, which recurses once per level: a tree of any depth, also one whose paths are longer than the system's limit, is
    flattened level by level. No pod runs any more, and no link is followed.
    """
    while points := mount_points_below(directory):
        unmount_tree(points[0])
    if not directory.exists():
        return
    top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        while names := os.listdir(top):  # noqa: PTH208  of a descriptor, not of a path
            for name in names:
                _remove_or_flatten(top, name)
    finally:
        os.close(top)
    directory.rmdir()


def _remove_or_flatten(top: int, name: str) -> None:
    """Removes one entry of the directory `top`; the directories in it become entries of `top`."""
    try:
        os.unlink(name, dir_fd=top)
        return
    except IsADirectoryError:
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for child in os.listdir(inner):  # noqa: PTH208  of a descriptor, not of a path
            try:
                os.unlink(child, dir_fd=inner)
            except IsADirectoryError:
                os.rename(child, uuid.uuid4().hex, src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def mount_points_below(directory: Path) -> list[str]:
    """Of /proc/self/mountinfo (proc(5): the fifth field, octal escapes), the outermost first."""
    root = str(directory.resolve())
    fields = [line.split(b" ")[4] for line in Path("/proc/self/mountinfo").read_bytes().splitlines()]
    points = [os.fsdecode(OCTAL.sub(lambda found: bytes([int(found[1], 8)]), field)) for field in fields]
    return sorted((point for point in points if point == root or point.startswith(root + "/")), key=len)


def mount_tmpfs(target: Path, flags: int = 0, options: str = "") -> None:
    mount("tmpfs", target, "tmpfs", flags, options)


def bind_open_file(descriptor: int, target: Path, *, shared: bool = False) -> None:
    """Bind-mounts an open file or directory, with every mount below it, present or future. `shared`: mounts below `target` reach the
    original directory, too."""
    mount(f"/proc/self/fd/{descriptor}", target, "", MS_BIND | MS_REC)
    if not shared:
        mount("", target, "", MS_REC | MS_SLAVE)


def unmount_tree(target: str | Path) -> None:
    """Unmounts a mount and all below it. It is made private first, or the unmount would reach the directory that was bound."""
    mount("", target, "", MS_REC | MS_PRIVATE)
    _checked(_libc().umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW))


def mount(source: str, target: str | Path, kind: str, flags: int, options: str = "") -> None:
    _checked(_libc().mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
