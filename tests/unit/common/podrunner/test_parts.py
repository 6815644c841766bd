"""The small pure parts: exit codes, host files, devices, cgroups, and the cause of a stop."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from interlink_common.agent.agent import NodeAgent
from interlink_common.model.codec import decode, encode
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated
from interlink_common.model.workload import Container, Dns, Resources, Security, Workload
from interlink_common.podrunner import exitcodes
from interlink_common.podrunner.cgroups import Cgroups, own_groups
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.devices import device_environment
from interlink_common.podrunner.hostfiles import hosts, resolv_conf
from interlink_common.podrunner.runtime import security_objection
from interlink_common.podrunner.sinks import Sink
from interlink_common.podrunner.supervisor import JobTermination


def ended(name: str, code: int, finished_at: float = 1.0) -> ContainerReport:
    return ContainerReport(name, Terminated(code, "Error" if code else "Completed", finished_at=finished_at))


@pytest.mark.parametrize(
    ("containers", "code"),
    [
        ((ended("a", 0), ended("b", 0)), 0),
        ((ended("a", 4, 2.0), ended("b", 9, 1.0)), 9),
        ((ended("a", 255),), 239),
        ((ended("a", -1),), 1),
        ((), 0),
    ],
)
def test_exit_codes(containers: tuple[ContainerReport, ...], code: int) -> None:
    assert exitcodes.of_report(PodReport(containers)) == code


def test_every_own_code_has_a_meaning() -> None:
    own = {value for name, value in vars(exitcodes).items() if name.isupper() and isinstance(value, int)}
    assert own == set(exitcodes.MEANINGS)
    assert min(own) >= exitcodes.BAD_BUNDLE


def test_hosts() -> None:
    assert hosts("127.0.0.1 localhost", "pod", ()) == "127.0.0.1 localhost\n127.0.0.1\tpod\n"


def test_resolv_conf() -> None:
    node = "# of the node\nnameserver 10.0.0.1\nsearch example.org\noptions ndots:1\n"
    wanted = Dns(nameservers=("1.1.1.1",), searches=("a", "example.org"), options=("ndots:5",))
    assert resolv_conf(node, wanted) == "nameserver 10.0.0.1\nnameserver 1.1.1.1\nsearch example.org a\noptions ndots:1 ndots:5\n"
    assert resolv_conf(node, Dns("None", ("1.1.1.1",))) == "nameserver 1.1.1.1\n"


def test_each_container_gets_its_share_of_the_jobs_devices() -> None:
    def gpu(name: str, count: int, sidecar: bool = False) -> Container:
        return Container(name, "x", limits=Resources(devices={"nvidia.com/gpu": count}), sidecar=sidecar)

    init, side, one, none, two = gpu("init", 2), gpu("side", 1, True), gpu("one", 1), Container("none", "x"), gpu("two", 2)
    pod = Workload("u", "n", "ns", (one, none, two), (init, side))
    node = {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b,GPU-c,GPU-d", "ROCR_VISIBLE_DEVICES": "0"}
    shares = [device_environment(pod, container, node).get("CUDA_VISIBLE_DEVICES") for container in (init, side, one, none, two)]
    assert shares == ["GPU-a,GPU-b", "GPU-a", "GPU-b", "", "GPU-c,GPU-d"]
    assert device_environment(pod, one, {}) == {}


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


def test_the_cause_of_a_stop_is_in_every_container_that_ended_by_it() -> None:
    stop = JobTermination(cast(NodeAgent, None), Workload("u", "n", "ns", ()), RunnerConfig(), cast(Sink, None), Path())
    before = PodReport((ended("early", 0, 5.0), ended("obeyed", 0, 15.0), ended("failed", 7, 15.0), ContainerReport("on", Running(1.0))))
    assert stop.with_cause(before) == before
    stop.cause, stop.since = "why", 10.0
    states = [entry.state for entry in stop.with_cause(before).containers]
    assert states == [
        Terminated(0, "Completed", finished_at=5.0),
        Terminated(143, "Error", "why", finished_at=15.0),
        Terminated(7, "Error", "why", finished_at=15.0),
        Running(1.0),
    ]


@pytest.mark.parametrize(
    ("security", "config", "user", "words"),
    [
        (Security(), RunnerConfig(), 0, ""),
        (Security(privileged=True), RunnerConfig(), 5, "requests privileged"),
        (Security(privileged=True), RunnerConfig(allow_privileged=True), 5, ""),
        (Security(run_as_user=1000), RunnerConfig(), 5, "requests the user 1000; on this site it is the job's, 5"),
        (Security(run_as_user=5), RunnerConfig(), 5, ""),
        (Security(run_as_user=1000), RunnerConfig(allow_run_as=True), 5, ""),
        (Security(run_as_non_root=True), RunnerConfig(), 5, ""),
        (Security(run_as_non_root=True), RunnerConfig(), 0, "must not run as root"),
        (Security(run_as_non_root=True, run_as_user=7), RunnerConfig(allow_run_as=True), 0, ""),
        (Security(run_as_non_root=True, run_as_user=0), RunnerConfig(allow_run_as=True), 0, "must not run as root"),
    ],
)
def test_permissions(security: Security, config: RunnerConfig, user: int, words: str) -> None:
    told = security_objection(Container("main", "x", security=security), config, user)
    assert words in told
    assert bool(words) == bool(told)


def test_options_travel_as_json() -> None:
    assert encode(RunnerConfig(), RunnerConfig) == {}
    assert decode({}, RunnerConfig) == RunnerConfig()
