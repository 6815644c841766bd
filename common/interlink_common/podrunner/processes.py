"""Processes of the node: what to start them with, and from /proc who belongs to whom, and how to end them all."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Optional

NEEDED = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
USUAL_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
PR_SET_CHILD_SUBREAPER = 36


def node_environment() -> dict[str, str]:
    """The part of the node's environment that a container runtime needs."""
    found = {name: os.environ[name] for name in NEEDED if name in os.environ}
    return {"PATH": USUAL_PATH, **found}


def own_program(*arguments: str) -> tuple[str, ...]:
    """The command that runs podrunner itself."""
    return (sys.executable, "-I", "-S", "-B", sys.argv[0], *arguments)


def find_program(name: str) -> Optional[str]:
    """Where it is on the PATH, as shutil.which; that module alone would take a tenth of podrunner's start."""
    paths = (Path(folder, name) for folder in os.environ.get("PATH", USUAL_PATH).split(":") if folder)
    return next((str(path) for path in paths if path.is_file() and os.access(path, os.X_OK)), None)


def remove_directory(directory: Path) -> None:
    """Removes the directory as far as that is possible."""
    from shutil import rmtree  # noqa: PLC0415  needed at the end only: see find_program

    rmtree(directory, ignore_errors=True)


def adopt_orphans() -> None:
    """From now on, processes whose parent dies become children of this one instead of the machine's init (prctl(2))."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def has_user_namespaces() -> bool:
    """Whether a process without privileges may make a user namespace here: a look at what forbids it, for the two cases there are."""
    for switch, forbidden in (("user/max_user_namespaces", "0"), ("kernel/unprivileged_userns_clone", "0")):
        with contextlib.suppress(OSError):
            if Path(f"/proc/sys/{switch}").read_text().strip() == forbidden:
                return False
    return Path("/proc/self/ns/user").exists()


def parents() -> dict[int, int]:
    """The parent of every process that can be seen."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                found[int(entry.name)] = int(_stat(int(entry.name))[1])
    return found


def descendants(pid: int) -> list[int]:
    """Children, their children and so on; not `pid` itself."""
    family, of = [pid], parents()
    for member in family:
        family += [child for child, parent in of.items() if parent == member]
    return family[1:]


def members(session: int) -> list[int]:
    """The processes of a session."""
    found = []
    for pid in parents():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(_stat(pid)[3]) == session:
                found.append(pid)
    return found


def leads_session(pid: int) -> bool:
    """Also true for a process that is gone."""
    try:
        return int(_stat(pid)[3]) == pid
    except (OSError, ValueError, IndexError):
        return True


def namespace_init(pid: int) -> Optional[int]:
    """The descendant that is process 1 of a PID namespace of its own: the first process of a container."""
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            numbers = _status_field(child, "NSpid")
            if len(numbers) > 1 and numbers[-1] == "1":
                return child
    return None


def is_same_program(pid: int, other: int) -> bool:
    """Whether both run the same file; False if that can't be seen."""
    try:
        return Path(f"/proc/{pid}/exe").readlink() == Path(f"/proc/{other}/exe").readlink()
    except OSError:
        return False


def arguments(pid: int) -> tuple[str, ...]:
    """Its command line; empty if it is gone."""
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1])
    except OSError:
        return ()


def environment(pid: int) -> dict[str, str]:
    """What the process was started with. Raises OSError."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def kill_all(session: int) -> None:
    """SIGKILL for the session that `session` leads or led, and everything below it, until nothing new is found."""
    killed: set[int] = set()
    while True:
        inside = members(session)
        family = {*inside, *(child for member in inside for child in descendants(member))}
        fresh = [pid for pid in family - killed if _is_alive(pid)]
        if not fresh:
            return
        killed.update(fresh)
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def kill_adopted() -> None:
    """SIGKILL for everything below this process: also what left its session and lost its parent."""
    for child in descendants(os.getpid()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(child, signal.SIGKILL)


def reap() -> None:
    """Reaps adopted children that have ended: those that lead no session. Every program that podrunner starts leads one."""
    me = os.getpid()
    for child, parent in parents().items():
        if parent == me and not leads_session(child):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)


def _is_alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] not in "ZX"
    except (OSError, IndexError):
        return False


def _stat(pid: int) -> list[str]:
    """proc_pid_stat(5) from the third field on: state, ppid, pgrp, session, ..."""
    return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()


def _status_field(pid: int, name: str) -> list[str]:
    for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
        if line.startswith(f"{name}:"):
            return line.split()[1:]
    return []
