"""A small program that starts a process of the pod: in a container's namespaces, or in a mount namespace of its own for a bare process.

Run as `python podrunner.pyz namespaces`. The request comes as JSON on standard input, so that the pod's command and environment are in no
argument list but their own. Unprivileged. Sources: user_namespaces(7), mount_namespaces(7), setns(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import sys
import warnings  # noqa: F401  os.execvpe imports it, which fails once the node's Python is out of sight
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC = 1, 2, 4, 8, 32, 4096, 8192, 16384
MS_UNBINDABLE, MS_PRIVATE = 1 << 17, 1 << 18
LOCKED = {os.ST_NOSUID: MS_NOSUID, os.ST_NODEV: MS_NODEV, os.ST_NOEXEC: MS_NOEXEC}
"""Flags that a mount may not lose in a user namespace."""
CANNOT_EXECUTE, NOT_FOUND = 126, 127
COMMAND = "namespaces"
"""The argument that makes podrunner.pyz this program."""
ERROR_PREFIX = "podrunner: "

Bind = tuple[str, str, bool]
"""(source, target, read-only)"""


def encode_request(
    command: Sequence[str],
    environment: dict[str, str],
    directory: str,
    *,
    join: Optional[int] = None,
    root: str = "",
    binds: Sequence[Bind] = (),
) -> bytes:
    """The request that this program reads. `join`: a process whose namespaces to enter. `binds`: mounts, made below the empty `root`."""
    fields = {"command": command, "environment": dict(environment), "directory": directory, "join": join, "root": root, "binds": binds}
    return json.dumps(fields).encode()


def main() -> None:
    """Becomes the command; never returns."""
    request: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    command = request["command"]
    try:
        if request["join"] is not None:
            enter_namespaces(request["join"])
        if request["binds"]:
            mount_in_own_namespace(request["root"], request["binds"])
        os.chdir(request["directory"])
        os.execvpe(command[0], command, request["environment"])
    except OSError as error:
        print(f"{ERROR_PREFIX}{error.filename or command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_EXECUTE)


def enter_namespaces(pid: int) -> None:
    """Goes on as a child of this process in the user, mount and PID namespaces of `pid`, as far as they are not ours. Raises OSError."""
    kinds = [kind for kind in ("user", "mnt", "pid") if os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")]
    for descriptor in [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in kinds]:
        _call("setns", descriptor, 0)
        os.close(descriptor)
    child = os.fork()  # it is a child that enters a PID namespace
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)


def mount_in_own_namespace(root: str, binds: Sequence[Bind]) -> None:
    """Goes on in a mount namespace that is the node's with `binds` in it; nothing of the node changes. Raises OSError.

    The new root is a tmpfs which shows every entry of the node's root. Where a target does not exist, its directory is mirrored in the
    same way. A target below another one is made in that one's source.
    """
    _unshare()
    _mount("none", "/", MS_REC | MS_PRIVATE)
    mirrors: set[str] = set()
    _mirror_directory("/", root, mirrors)
    _mount("none", root, MS_UNBINDABLE)
    ordered = sorted(binds, key=lambda bind: bind[1].count("/"))
    targets = [os.path.realpath(target) for _, target, _ in ordered]
    nested = [any(target.startswith(f"{other}/") for other in targets) for target in targets]
    for (source, _, _), target, is_nested in zip(ordered, targets, nested):
        if not is_nested:
            _ensure_target(root, target, os.path.isdir(source), mirrors)
    for (source, _, _), target, is_nested in zip(ordered, targets, nested):
        if is_nested:
            _make_mount_point(Path(root + target), os.path.isdir(source))
        _mount(source, root + target, MS_BIND | MS_REC)
    for (_, _, read_only), target in zip(ordered, targets):
        if read_only:
            locked = sum(flag for bit, flag in LOCKED.items() if os.statvfs(root + target).f_flag & bit)
            _mount("none", root + target, MS_BIND | MS_REMOUNT | MS_RDONLY | locked)
    os.chdir(root)
    _mount(root, "/", MS_MOVE)
    os.chroot(".")


def _unshare() -> None:
    """A mount namespace of our own; who is not root needs a user namespace for it, in which we are who we were."""
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        _call("unshare", CLONE_NEWNS)
        return
    _call("unshare", CLONE_NEWNS | CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _mirror_directory(directory: str, mount_point: str, mirrors: set[str]) -> None:
    """Covers `mount_point` with a tmpfs that shows the entries of `directory`."""
    entries = list(os.scandir(directory))
    _mount("tmpfs", mount_point, MS_NOSUID, "tmpfs", "mode=0755")
    mirrors.add(mount_point)
    for entry in entries:
        target = os.path.join(mount_point, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
            continue
        _make_mount_point(Path(target), entry.is_dir())
        with contextlib.suppress(PermissionError):
            _mount(entry.path, target, MS_BIND | MS_REC)


def _ensure_target(root: str, target: str, as_directory: bool, mirrors: set[str]) -> None:
    """Makes `target` below the new root, if it does not exist on the node."""
    if os.path.lexists(root + target):
        return
    parent = os.path.dirname(target)
    _ensure_target(root, parent, True, mirrors)
    if os.path.lexists(parent) and root + parent.rstrip("/") not in mirrors:
        _mirror_directory(parent, root + parent, mirrors)
    _make_mount_point(Path(root + target), as_directory)


def _make_mount_point(mount_point: Path, as_directory: bool) -> None:
    mount_point.parent.mkdir(parents=True, exist_ok=True)
    if as_directory:
        mount_point.mkdir(exist_ok=True)
    elif not mount_point.exists():
        mount_point.touch()


def _call(name: str, *arguments: object) -> None:
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def _mount(source: str, target: str, flags: int, kind: str = "", data: str = "") -> None:
    _call("mount", source.encode(), target.encode(), kind.encode() or None, ctypes.c_ulong(flags), data.encode() or None)
