"""Limits in cgroups of version 2, on files like theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlink_common.model.workload import Resources
from interlink_common.podrunner.cgroups import Cgroups, own_groups


def test_limits_in_cgroups_of_version_2(tmp_path: Path) -> None:
    """On files like those of a delegated group, for this machine need not have one."""
    own = tmp_path / own_group().lstrip("/")
    for folder in {tmp_path, own}:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("cgroup.procs", ""), ("cgroup.subtree_control", ""), ("cgroup.controllers", "cpuset cpu io memory pids")):
            (folder / name).write_text(text)
    if own_groups(tmp_path).keys() != {""}:
        pytest.fail(f"the fake is not taken for version 2: {own_groups(tmp_path)}")
    groups = Cgroups(tmp_path)
    assert groups.make("none", Resources()) is None
    assert (own / "cgroup.subtree_control").read_text() == ""
    (own / "podrunner-main").mkdir()
    for name in ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max"):
        (own / "podrunner-main" / name).touch()
    group = groups.make("main", Resources(cpu_millis=1500, memory_bytes=2**20))
    assert group is not None
    assert (own / "cgroup.subtree_control").read_text() == "+cpu +memory"
    group.enter(7)
    written = {path.name: path.read_text() for path in (own / "podrunner-main").iterdir()}
    assert written == {
        "memory.max": "1048576",
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.max": "150000 100000",
        "cgroup.procs": "7",
    }
    (own / "podrunner-main" / "memory.events").write_text("low 0\noom 1\noom_kill 3\n")
    assert group.oom_kills() == 3


def own_group() -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:]
    return "/"
