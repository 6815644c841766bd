"""The files of a pod below the state directory: written, measured and removed without ever following a pod's own links out of it.

All functions block; `volumes` calls them in threads.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

from interlink_common.agent.runtime import StartError
from interlink_common.workload.model import File

FAILED_MOUNT = "FailedMount"
MESSAGE_BYTES = 4096
"""Kubernetes: "Determine the Reason for Pod Failure": at most 4096 bytes of a termination message."""


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
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(mode=0o755)
    for file in files:
        target = building / file.path
        if not target.resolve().is_relative_to(building.resolve()):
            raise StartError("CreateContainerConfigError", f"a path of volume {directory.name} leaves the volume")
        target.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(file.data)
        target.chmod(file.mode)
    for path in [building, *building.rglob("*")]:
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


def below(base: Path, sub_path: str, *, create: bool) -> Path:
    """The real path of `sub_path` in the volume at `base`, made as a directory where it is missing.

    Links that stay in the volume are followed. Raises StartError for one that leaves it, or if it can't be reached.
    """
    root = base.resolve(strict=False)
    current = root
    for part in Path(sub_path).parts:
        following = (current / part).resolve(strict=False)
        if part == ".." or not following.is_relative_to(root):
            raise StartError(FAILED_MOUNT, f"subPath {sub_path} leaves its volume")
        try:
            if create and not following.exists():
                following.mkdir()
                following.chmod(stat.S_IMODE(current.stat().st_mode))
        except OSError as error:
            raise StartError(FAILED_MOUNT, f"subPath {sub_path} can not be made: {error.strerror}") from None
        current = following
    if not current.exists():
        raise StartError(FAILED_MOUNT, f"subPath {sub_path} does not exist in its volume")
    return current


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
    """What a directory takes on disk. Files that vanish meanwhile count nothing; links are not followed."""
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_blocks * 512  # noqa: PTH118  this loop is hot
            except OSError:
                continue
    return total


def remove_tree(directory: Path) -> None:
    """Removes a pod's files. What a container mounted in there (Bidirectional) is unmounted first, never descended into."""
    for point in mount_points_below(directory):
        subprocess.run(["umount", "--lazy", "--", point], check=True, capture_output=True, timeout=30)  # noqa: S603, S607  no shell
    if directory.exists():
        shutil.rmtree(directory)


def mount_points_below(directory: Path) -> list[str]:
    """Of /proc/self/mountinfo (proc(5): the fifth field, octal escapes), the deepest first."""
    root = str(directory.resolve())
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        point = line.split(" ")[4].encode("latin-1", "surrogateescape").decode("unicode_escape")
        if point == root or point.startswith(root + "/"):
            found.append(point)
    return sorted(found, key=len, reverse=True)


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


def host_path(path: str, kind: str, allowed: list[Path]) -> Path:
    """The real path of a hostPath volume, checked and made as its type says. Raises StartError.

    Its links are resolved, and the result must again be below an allowed directory.
    """
    real = Path(path).resolve()
    if not any(real.is_relative_to(directory.resolve()) for directory in allowed):
        raise StartError(FAILED_MOUNT, f"hostPath {path} leads outside of what the operator allows in volumes.host_path_allow")
    try:
        if kind == "DirectoryOrCreate":
            real.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif kind == "FileOrCreate" and not real.exists():
            real.touch(mode=0o644)
        mode = real.stat().st_mode
    except OSError as error:
        raise StartError(FAILED_MOUNT, f"hostPath {path}: {error.strerror}") from None
    if kind in KINDS and not KINDS[kind](mode):
        raise StartError(FAILED_MOUNT, f"hostPath {path} is not of type {kind}")
    return real
