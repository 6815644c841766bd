"""Memory and cpu by cgroup, where a job may make some: what is killed for its memory is told as OOMKilled, 137."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from interlink_common.model.workload import Resources
from interlink_common.podrunner.cgroups import ROOT, own_groups
from interlink_common.testing.lifecycle_cases import pod, sh
from tests.live.podrunner.worker import Job, Node, ended

StartJob = Callable[..., Job]
MIB = 2**20
EATS = "x=$(head -c 100000000 /dev/zero | tr '\\0' a); echo ${#x}"


@pytest.fixture
def privileged(process_node: Node, unavailable: Callable[[str, str], None]) -> Node:
    """A node whose jobs may make cgroups: root's here, a delegated one on a pool."""
    groups = own_groups(ROOT)
    if os.geteuid() != 0 or not any(os.access(path, os.W_OK) for kind, path in groups.items() if kind in ("", "memory")):
        unavailable("podrunner", "no cgroup of this machine is writable")
    return Node(process_node.config)


def test_a_container_over_its_memory_is_oom_killed(privileged: Node, start: StartJob) -> None:
    job = start(privileged, pod("oom", sh("main", EATS, mounts=(), limits=Resources(memory_bytes=30 * MIB))))
    state = ended(job.end().report)
    assert (state.exit_code, state.reason) == (137, "OOMKilled")
    assert "OOMKilled" in state.message
    assert left_groups() == []


def test_a_container_within_its_memory_is_not(privileged: Node, start: StartJob) -> None:
    job = start(privileged, pod("fits", sh("main", EATS, mounts=(), limits=Resources(memory_bytes=1024 * MIB, cpu_millis=1500))))
    assert ended(job.end().report).exit_code == 0
    assert job.log() == "100000000\n"
    assert left_groups() == []


def test_a_kill_by_somebody_is_no_oom(privileged: Node, start: StartJob) -> None:
    job = start(privileged, pod("killed", sh("main", "kill -9 $$", mounts=(), limits=Resources(memory_bytes=100 * MIB))))
    state = ended(job.end().report)
    assert (state.exit_code, state.reason) == (137, "Error")


def left_groups() -> list[Path]:
    return [path for group in own_groups(ROOT).values() for path in group.glob("podrunner-*")]
