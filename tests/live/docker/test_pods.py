"""Rows of the coverage table that concern the whole pod, security, network; restarts; and what is left behind."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
from collections.abc import Iterator

import pytest

from interlink_common.agent.runtime import RuntimeUnavailable
from interlink_common.backend import CheckResult, Job, Verdict
from interlink_common.errors import Refused
from interlink_common.model.report import Running, Terminated
from interlink_common.model.workload import (
    Container,
    Dns,
    EmptyDirVolume,
    File,
    FilesVolume,
    Mount,
    Port,
    Security,
)
from interlink_docker import files, reachability
from interlink_docker.client import Engine
from interlink_docker.runtime import DockerRuntime
from tests.live.docker.conftest import StartNode
from tests.live.docker.node import NOTHING_LEFT, Node, a_pod, container, ended, needs_privileged, shell
from tests.servers.docker_engine import DockerEngine, busybox_archive


async def test_hostname_host_aliases_and_dns(node: Node) -> None:
    pod = a_pod(
        shell("hostname; grep -h -e 192.0.2.7 -e web /etc/hosts | tr '\\t' ' '; grep '^[a-z]' /etc/resolv.conf | sort"),
        hostname="www",
        subdomain="web",
        host_aliases=(("192.0.2.7", ("one", "two")),),
        dns=Dns("None", ("192.0.2.53",), ("example.org",), ("ndots:2",)),
    )
    await node.run(pod)
    lines = (await node.log(pod)).splitlines()
    assert lines[:3] == ["www", "192.0.2.7 one", "192.0.2.7 two"]
    assert lines[3].endswith(" www.web.live.svc.cluster.local www")
    assert lines[4:] == ["nameserver 192.0.2.53", "options ndots:2", "search example.org"]


async def test_host_port_only_where_asked(node: Node) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    main = shell("httpd -f -p 8080 -h /", ports=(Port(8080, host_port=number, host_ip="127.0.0.1"), Port(9090)))
    pod = a_pod(main)
    await node.running(pod)
    with node.engine.client() as client:
        bindings = client.inspect_container(f"interlink-{pod.uid}")["HostConfig"]["PortBindings"]
    assert bindings == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(number)}]}
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", number)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        break


async def test_run_as_user_and_group(node: Node) -> None:
    pod = a_pod(shell("id -u; id -g", security=Security(run_as_user=1234, run_as_group=5678)))
    await node.run(pod)
    assert await node.log(pod) == "1234\n5678\n"


async def test_capabilities_no_new_privileges_and_read_only_root(node: Node) -> None:
    script = "grep -e CapEff -e NoNewPrivs -e '^Seccomp:' /proc/self/status | tr '\\t' ' '; touch /x 2>&1 || echo read-only"
    security = Security(
        capabilities_add=("NET_BIND_SERVICE",),
        capabilities_drop=("ALL",),
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        seccomp_type="RuntimeDefault",
    )
    pod = a_pod(shell(script, security=security))
    await node.run(pod)
    assert (await node.log(pod)).splitlines() == [
        "CapEff: 0000000000000400",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "touch: /x: Read-only file system",
        "read-only",
    ]


async def test_privileged_and_host_namespaces_under_operator_policy(start_node: StartNode) -> None:
    node = await start_node()
    privileged = shell("grep CapEff /proc/self/status", security=Security(privileged=True))
    for pod in (a_pod(privileged), a_pod(shell("true"), host_network=True), a_pod(shell("true"), host_pid=True)):
        with pytest.raises(Refused, match="the operator can allow it"):
            await node.submit(pod)
    assert node.leftovers() == NOTHING_LEFT
    allowing = await start_node(security={"allow_host_network": True, "allow_host_pid": True, "allow_host_ipc": True})
    pod = a_pod(shell("ls /proc 2>/dev/null | grep -c '^[0-9]'; cat /proc/net/dev"), host_network=True, host_pid=True, host_ipc=True)
    await allowing.run(pod)
    processes, *interfaces = (await allowing.log(pod)).splitlines()
    assert int(processes) > 5
    assert any(allowing.engine.bridge in line for line in interfaces)


@needs_privileged
async def test_privileged_when_allowed(start_node: StartNode) -> None:
    node = await start_node(security={"allow_privileged": True})
    assert ended(await node.run(a_pod(shell("mount -t tmpfs x /mnt", security=Security(privileged=True))))).exit_code == 0


async def test_run_as_non_root_is_checked_against_the_image(node: Node) -> None:
    pod = await node.submit(a_pod(shell("true", security=Security(run_as_non_root=True))))
    report = await node.until(pod, lambda report: getattr(container(report).state, "reason", "") == "CreateContainerConfigError")
    assert "runs as root" in str(container(report).state)


@pytest.fixture
def setuid_image(engine: DockerEngine) -> Iterator[str]:
    """In which `id` is the program of coreutils and setuid root: busybox gives such a right away again."""
    with engine.client() as client:
        client.import_image_from_data(busybox_archive("id"), repository="plain", tag="1", changes=["ENV PATH=/bin"])
        made = client.create_container("plain:1", ["chmod", "4755", "/bin/id"])["Id"]
        client.start(made)
        client.wait(made)
        client.commit(made, repository="setuid", tag="1")
        client.remove_container(made)
        yield "setuid:1"
        for image in ("setuid:1", "plain:1"):
            client.remove_image(image)


@pytest.mark.parametrize(("allow_root", "uid"), [(True, "0"), (False, "1234")])
async def test_a_setuid_program_is_root_only_where_root_is_allowed(
    setuid_image: str, start_node: StartNode, allow_root: bool, uid: str
) -> None:
    node = await start_node(security={"allow_root": allow_root})
    pod = a_pod(Container("main", setuid_image, ("id", "-u"), security=Security(run_as_user=1234)))
    await node.run(pod)
    assert await node.log(pod) == f"{uid}\n"


async def test_share_process_namespace(node: Node) -> None:
    looking = shell("until ps | grep -q '[s]leep 600'; do sleep 0.1; done; ps | grep -c '[s]leep 600'", "two")
    pod = await node.submit(a_pod(shell("sleep 600", "one"), looking, share_process_namespace=True, grace_seconds=1))
    report = await node.until(pod, lambda report: isinstance(container(report, "two").state, Terminated))
    assert ended(report, "two").exit_code == 0
    assert await node.log(pod, "two") == "1\n"


async def test_sysctls(node: Node) -> None:
    pod = a_pod(shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), sysctls={"net.ipv4.ip_unprivileged_port_start": "80"})
    await node.run(pod)
    assert await node.log(pod) == "80\n"


def mixed(number: int) -> tuple[Container, ...]:
    kinds = [
        (shell("true"),),
        (shell("exit 3"),),
        (shell("sleep 600"),),
        (shell("trap '' TERM; sleep 600"), shell("true", "second")),
        (Container("main", "busybox:1.36", ("no-such-program",)),),
        (Container("main", "absent:1", ("true",), image_pull_policy="Never"),),
    ]
    return kinds[number % len(kinds)]


@pytest.mark.timeout(400)
async def test_fifty_mixed_pods_leave_nothing_behind(node: Node) -> None:
    volumes = (FilesVolume("f", (File("a", 0o600, b"x"),), secret=True), EmptyDirVolume("m", in_memory=True), EmptyDirVolume("d"))
    mounts = (Mount("f", "/f"), Mount("m", "/m"), Mount("d", "/d"))
    before = node.leftovers()
    for number in range(50):
        containers = tuple(Container(**{**vars(c), "mounts": mounts}) for c in mixed(number))
        await node.submit(a_pod(*containers, volumes=volumes, grace_seconds=1))
    await node.until_true(lambda: len(node.reports) == 50)
    await node.delete_all()
    assert node.leftovers() == before == NOTHING_LEFT


async def test_restart_of_the_plugin_keeps_pods_running(node: Node) -> None:
    script = "echo once; sleep 6; echo later; exit 4"
    pod = a_pod(shell(script))
    before = container(await node.running(pod))
    await node.restart()
    after = container(await node.until(pod, lambda report: True))
    assert (after.container_id, after.state, after.restart_count) == (before.container_id, before.state, 0)
    report = await node.until(pod, lambda report: report.finished)
    assert ended(report).exit_code == 4
    assert await node.log(pod) == "once\nlater\n"


async def test_a_pod_that_ended_while_the_plugin_was_away(node: Node) -> None:
    pod = a_pod(shell("sleep 4; exit 6"))
    await node.running(pod)
    await node.stop()
    with node.engine.client() as client:
        client.wait(f"interlink-{pod.uid}-main-0")
    await node.start()
    assert ended(await node.until(pod, lambda report: report.finished)).exit_code == 6


async def test_adoption_from_labels(node: Node) -> None:
    pod = a_pod(shell("sleep 600", env={"SECRET": "hidden"}))
    await node.running(pod)
    node.jobs.clear()
    await node.restart()
    found = {job.pod_uid: job for job in await node.backend.inventory()}[pod.uid]
    assert found.workload is not None
    assert found.workload.containers[0].env == {}
    await node.backend.adopt(Job(pod.uid, found.jid, found.workload), complete=False)
    await node.until(pod, lambda report: isinstance(container(report).state, Running))
    node.jobs[pod.uid] = Job(pod.uid, found.jid, found.workload)


async def test_a_success_is_one_also_after_a_lost_state_directory(node: Node) -> None:
    """The sandbox is ended within moments of the pod; that is no cause of the pod's end."""
    pod = a_pod(shell("exit 0"))
    await node.run(pod)
    with node.engine.client() as client:
        client.wait(f"interlink-{pod.uid}")
    await node.stop()
    shutil.rmtree(node.settings.state_dir / "pods")
    node.reports.clear()
    job = node.jobs.pop(pod.uid)
    await node.start()
    await node.backend.adopt(job, complete=False)
    assert ended(await node.until(pod, lambda report: report.finished)).exit_code == 0
    node.jobs[pod.uid] = job


async def test_the_end_of_a_sandbox_holds_up_no_other_pod_and_comes_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    retire, begun, go_on = DockerRuntime.stop_sandbox, [], asyncio.Event()

    async def slow(runtime: DockerRuntime, uid: str) -> None:
        begun.append(uid)
        await go_on.wait()
        await retire(runtime, uid)

    monkeypatch.setattr(DockerRuntime, "stop_sandbox", slow)
    pods = [a_pod(shell("exit 0")), a_pod(shell("exit 0"))]
    for pod in pods:
        await node.run(pod)
    assert begun == [pod.uid for pod in pods]
    go_on.set()
    with node.engine.client() as client:
        for pod in pods:
            await asyncio.to_thread(client.wait, f"interlink-{pod.uid}")
    await node.stop()
    node.reports.clear()
    await node.start(observe=False)
    await node.backend.inventory()
    node.observe()
    await node.until_true(lambda: len(node.reports) == 2)
    assert len(begun) == 2


def own_engine(*, live_restore: bool) -> Iterator[DockerEngine]:
    running = DockerEngine(live_restore=live_restore)
    try:
        running.start()
        running.install_images()
        yield running
    finally:
        running.remove()


@pytest.fixture
def restoring_engine() -> Iterator[DockerEngine]:
    yield from own_engine(live_restore=True)


@pytest.fixture
def forgetful_engine() -> Iterator[DockerEngine]:
    yield from own_engine(live_restore=False)


@pytest.mark.timeout(300)
async def test_engine_killed_and_back_with_live_restore(restoring_engine: DockerEngine, start_node: StartNode) -> None:
    node = await start_node(on=restoring_engine)
    pod, ending = a_pod(shell("sleep 600")), a_pod(shell("sleep 6; exit 9"))
    before = await node.running(pod)
    await node.running(ending)
    frozen = dict(node.reports)
    await asyncio.to_thread(restoring_engine.kill)
    await node.until_true(lambda: bool(node.down))
    await asyncio.sleep(7)  # long enough for the second pod to end unseen
    assert node.reports == frozen
    await asyncio.to_thread(restoring_engine.start)
    with restoring_engine.client() as client:
        forgets = int(client.version()["Version"].partition(".")[0]) >= 26  # what ended while its containerd was dead too
    assert ended(await node.until(ending, lambda report: report.finished)).exit_code == (255 if forgets else 9)
    assert node.reports[pod.uid] == before


async def test_an_engine_that_hangs_is_away(restoring_engine: DockerEngine, start_node: StartNode) -> None:
    node = await start_node(on=restoring_engine, engine={"timeout_seconds": 5, "ping_seconds": 0.5})
    pod = a_pod(shell("sleep 600"), grace_seconds=1)
    before = await node.running(pod)
    with restoring_engine.hung():
        await node.until_true(lambda: bool(node.down))
        assert "did not answer within 5 s" in node.down
        assert node.reports[pod.uid] == before
    await node.until_true(lambda: not node.down)
    assert node.reports[pod.uid] == before


@pytest.mark.timeout(300)
async def test_a_stopped_engine_without_live_restore_is_no_success(forgetful_engine: DockerEngine, start_node: StartNode) -> None:
    node = await start_node(on=forgetful_engine)
    polite = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    once, always = a_pod(shell(polite)), a_pod(shell(polite), restart_policy="Always")
    await node.running(once)
    await node.running(always)
    await asyncio.to_thread(forgetful_engine.restart)
    report = await node.until(once, lambda report: report.finished)
    assert ended(report).exit_code != 0
    assert "engine" in ended(report).message
    await node.until(always, lambda report: container(report).restart_count >= 1 and isinstance(container(report).state, Running))


@pytest.mark.timeout(300)
async def test_delete_while_the_engine_is_away(restoring_engine: DockerEngine, start_node: StartNode) -> None:
    node = await start_node(on=restoring_engine)
    pod = a_pod(shell("sleep 600"), grace_seconds=1)
    await node.running(pod)
    await asyncio.to_thread(restoring_engine.kill)
    deleting = asyncio.create_task(node.delete(pod))
    await node.until_true(lambda: bool(node.down))
    assert not deleting.done()
    await asyncio.to_thread(restoring_engine.start)
    await deleting
    assert node.leftovers() == NOTHING_LEFT


async def test_check_and_capacity(start_node: StartNode) -> None:
    reserve = {"reserve_cpu_millis": 500, "reserve_memory_bytes": 1 << 30, "pods": 7}
    node = await start_node(capacity=reserve, cvmfs={"path": "/not/there"})
    rows = {row.name: row.verdict for row in await node.backend.check()}
    assert rows == {
        "engine": Verdict.OK,
        "version": Verdict.OK,
        "live-restore": Verdict.WARNING,
        "limits": Verdict.OK,
        "sandbox image": Verdict.OK,
        "network image": Verdict.WARNING,
        "state directory": Verdict.OK,
        "own mounts": Verdict.OK,
        "pod network": Verdict.OK,
        "privileges": Verdict.OK,
        "devices": Verdict.OK,
        "cvmfs": Verdict.WARNING,
    }
    with node.engine.client() as client:
        info = client.info()
    capacity = await node.backend.capacity()
    assert (capacity.cpu_millis, capacity.memory_bytes, capacity.pods) == (info["NCPU"] * 1000 - 500, info["MemTotal"] - (1 << 30), 7)


async def test_check_proves_the_mapping_of_the_state_directory(start_node: StartNode) -> None:
    node = await start_node(volumes={"engine_state_dir": "/not/there"})
    row = next(row for row in await node.backend.check() if row.name == "state directory")
    assert row.verdict is Verdict.FAILED
    assert "engine_state_dir" in row.remedy


async def row(node: Node, name: str) -> CheckResult:
    return next(found for found in await node.backend.check() if found.name == name)


def not_permitted(*_: object) -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


async def test_check_proves_that_the_engine_sees_pins(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> None:
    node = await start_node()
    with monkeypatch.context() as patch:
        patch.setattr(files, "mount", not_permitted)
        refused = await row(node, "own mounts")
    assert (refused.verdict, "may not mount: Operation not permitted" in refused.detail) == (Verdict.WARNING, True)
    unseen = await row(await start_node(volumes={"engine_state_dir": "/not/there"}), "own mounts")
    assert (unseen.verdict, "does not see mounts" in unseen.detail) == (Verdict.WARNING, True)


@pytest.mark.parametrize(
    ("address", "words"),
    [("127.0.0.1", "something else than the pod answers at 127.0.0.1"), ("240.0.0.1", ""), (None, "has no address")],
)
async def test_check_proves_that_pods_are_reached(
    start_node: StartNode, monkeypatch: pytest.MonkeyPatch, address: str | None, words: str
) -> None:
    """An engine elsewhere: its addresses are somebody else's here, or nobody's."""
    node = await start_node(sandbox={"network": "" if address else "none"})
    if address:
        monkeypatch.setattr(reachability, "address_of", lambda networks: address)
    found = await row(node, "pod network")
    assert (found.verdict, words in found.detail) == (Verdict.WARNING, True), found


async def test_check_of_an_engine_that_goes_away_meanwhile(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(engine: Engine) -> dict[str, object]:
        raise RuntimeUnavailable("the engine did not answer")

    monkeypatch.setattr(Engine, "info", lost)
    rows = [(row.name, row.verdict) for row in await node.backend.check()]
    assert rows[:2] == [("engine", Verdict.OK), ("engine", Verdict.FAILED)]
    assert [name for name, _ in rows[2:]] == ["privileges", "devices", "cvmfs"]


async def test_a_delete_right_after_the_create_leaves_nothing(node: Node) -> None:
    volumes = (FilesVolume("f", (File("a", 0o600, b"x"),), secret=True), EmptyDirVolume("m", in_memory=True))
    for number in range(20):
        pod = await node.submit(a_pod(shell("sleep 600"), volumes=volumes, grace_seconds=0))
        await asyncio.sleep(number / 50)
        await node.delete(pod)
        assert node.leftovers() == NOTHING_LEFT
