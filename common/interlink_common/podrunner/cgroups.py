"""Limits of cpu and memory by cgroup, where the batch system lets us make some; else the job's own are all there are.

Sources: cgroups(7), Linux "Control Group v2". Kubernetes: a container over its memory limit is killed as a whole and reported as OOMKilled.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from interlink_common.model.workload import Resources

ROOT = Path("/sys/fs/cgroup")
CPU_PERIOD_MICROSECONDS = 100_000
LEAF = "podrunner"


@dataclass(frozen=True)
class Group:
    """The cgroup of one container: a directory per hierarchy."""

    directories: tuple[Path, ...]

    def enter(self, pid: int) -> None:
        for directory in self.directories:
            with contextlib.suppress(OSError):  # it has ended already
                (directory / "cgroup.procs").write_text(str(pid))

    def oom_kills(self) -> int:
        """How many processes were killed for memory."""
        return sum(_oom_kills(directory) for directory in self.directories)

    def remove(self) -> None:
        for directory in self.directories:
            with contextlib.suppress(OSError):
                directory.rmdir()


class Cgroups:
    """What podrunner may do with cgroups on this node."""

    def __init__(self, root: Path = ROOT, process: str = "self") -> None:
        self._own = own_groups(root, process)
        self._delegated: Optional[dict[str, Path]] = None

    def make(self, name: str, limits: Resources) -> Optional[Group]:
        """A group with these limits; None if there is nothing to limit or no right to."""
        if not (limits.memory_bytes or limits.cpu_millis):
            return None
        if self._delegated is None:
            self._delegated = _delegated(self._own)
        made = []
        for kind, path in self._delegated.items():
            settings = _settings(kind, limits)
            if settings:
                directory = path / f"{LEAF}-{name}"
                try:
                    directory.mkdir(exist_ok=True)
                    for file, value in settings.items():
                        _write(directory / file, value)
                except OSError:
                    continue
                made.append(directory)
        return Group(tuple(made)) if made else None

    def oom_kills(self) -> int:
        """How many processes of the whole job were killed for memory, as far as that can be seen."""
        return sum(_oom_kills(path) for kind, path in self._own.items() if kind in ("", "memory"))


def own_groups(root: Path, process: str = "self") -> dict[str, Path]:
    """This process's cgroups by controller of version 1; "" is version 2."""
    found: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for kind in controllers.split(",") if controllers else [""]:
                base = root / kind if kind else root
                if kind in ("", "memory", "cpu") and (base / "cgroup.procs").exists():
                    found[kind] = base / path.lstrip("/")
    return {kind: path for kind, path in found.items() if (path / "cgroup.procs").exists()}


def _delegated(own: Mapping[str, Path]) -> dict[str, Path]:
    """Where groups may be made."""
    found = {kind: path for kind, path in own.items() if os.access(path, os.W_OK)}
    return {kind: path for kind, path in found.items() if kind or _delegate(path)}


def _delegate(own: Path) -> bool:
    """Version 2: only a group without processes can limit others, so ours move into a leaf of their own."""
    try:
        leaf = own / LEAF
        leaf.mkdir(exist_ok=True)
        for pid in (own / "cgroup.procs").read_text().split():
            (leaf / "cgroup.procs").write_text(pid)
        available = set((own / "cgroup.controllers").read_text().split()) & {"cpu", "memory"}
        (own / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(available)))
    except OSError:
        return False
    return "memory" in available


def _settings(kind: str, limits: Resources) -> dict[str, str]:
    """File -> value."""
    memory, cpu = limits.memory_bytes, limits.cpu_millis
    quota = max(1000, cpu * CPU_PERIOD_MICROSECONDS // 1000) if cpu else 0
    found: dict[str, str] = {}
    if kind == "memory" and memory:
        found = {"memory.limit_in_bytes": str(memory), "memory.memsw.limit_in_bytes": str(memory)}
    elif kind == "cpu" and quota:
        found = {"cpu.cfs_period_us": str(CPU_PERIOD_MICROSECONDS), "cpu.cfs_quota_us": str(quota)}
    elif kind == "":
        found = {"memory.max": str(memory), "memory.swap.max": "0", "memory.oom.group": "1"} if memory else {}
        found.update({"cpu.max": f"{quota} {CPU_PERIOD_MICROSECONDS}"} if quota else {})
    return found


def _write(file: Path, value: str) -> None:
    """Sets a limit; a file that the kernel was built without is no reason to go without the others."""
    if file.exists():
        file.write_text(value)


def _oom_kills(directory: Path) -> int:
    for name in ("memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (directory / name).read_text().splitlines():
                if line.split()[:1] == ["oom_kill"]:
                    return int(line.split()[1])
    return 0
