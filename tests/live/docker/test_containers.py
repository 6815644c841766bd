"""Rows of the coverage table that concern containers, on a real engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlink_common.backend import LogQuery
from interlink_common.errors import NotFound
from interlink_common.model.report import Running
from interlink_common.model.workload import (
    Container,
    EmptyDirVolume,
    ExecAction,
    HttpAction,
    Mount,
    Probe,
    Resources,
    Security,
    TcpAction,
    Workload,
)
from interlink_docker.locations import volume_directory
from tests.live.docker.conftest import StartNode
from tests.live.docker.node import Node, a_pod, container, ended, shell, waiting
from tests.servers.docker_engine import BUSYBOX_IMAGE


async def test_several_containers_in_parallel_with_own_exit_codes_and_logs(node: Node) -> None:
    pod = a_pod(shell("echo one; exit 0", "one"), shell("echo two; exit 7", "two"))
    report = await node.run(pod)
    assert [(c.name, ended(report, c.name).exit_code) for c in report.containers] == [("one", 0), ("two", 7)]
    assert [await node.log(pod, name) for name in ("one", "two")] == ["one\n", "two\n"]
    for found in report.containers:
        state = ended(report, found.name)
        assert state.started_at is not None
        assert state.finished_at is not None
        assert state.started_at <= state.finished_at
        assert found.image_id.startswith("sha256:")
        assert found.container_id.startswith("docker://")


async def test_containers_share_localhost_and_ipc(node: Node) -> None:
    server = shell("echo hello > /dev/shm/note; nc -l -p 8080 -e echo over localhost", "server")
    client = shell("until nc 127.0.0.1 8080 < /dev/null 2>/dev/null; do sleep 0.1; done; cat /dev/shm/note", "client")
    pod = a_pod(server, client)
    await node.run(pod)
    assert await node.log(pod, "client") == "over localhost\nhello\n"


async def test_init_containers_in_order_and_fail_fast(node: Node) -> None:
    first, second = shell("echo first", "first"), shell("exit 3", "second")
    pod = a_pod(shell("echo never"), init_containers=(first, second))
    report = await node.run(pod)
    assert ended(report, "first").exit_code == 0
    assert ended(report, "second").exit_code == 3
    assert ended(report).exit_code != 0
    assert await node.log(pod, "first") == "first\n"
    with pytest.raises(NotFound):
        await node.log(pod)


async def test_native_sidecar_runs_beside_the_mains_and_ends_after_them(node: Node) -> None:
    sidecar = shell("trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 0.1; done", "proxy", sidecar=True)
    pod = a_pod(shell("sleep 1; echo done"), init_containers=(sidecar,))
    report = await node.run(pod)
    assert ended(report).exit_code == 0
    assert await node.log(pod, "proxy") == "up\nstopped\n"


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (None, None, "from the image\n"),
        (None, ("given",), "given\n"),
        (("echo", "command"), None, "command\n"),
        (("echo",), ("a  b", "$HOME"), "a  b $HOME\n"),
    ],
)
async def test_command_and_args_in_all_four_combinations(
    node: Node, command: tuple[str, ...] | None, args: tuple[str, ...] | None, expected: str
) -> None:
    with node.engine.client() as client:
        built = client.create_container_from_config({"Image": BUSYBOX_IMAGE, "Entrypoint": ["echo"], "Cmd": ["from the image"]})  # type: ignore[no-untyped-call]
        client.commit(built["Id"], repository="echo", tag="1")
        client.remove_container(built["Id"])
    pod = a_pod(Container("main", "echo:1", command, args))
    await node.run(pod)
    assert await node.log(pod) == expected


async def test_env_values_arrive_byte_for_byte(node: Node) -> None:
    env = {"QUOTES": '"it\'s"', "LINES": "a\nb", "DOLLAR": "$HOME `id` $(id)", "UNICODE": "žluťoučký 🐎", "EMPTY": "", "EQUALS": "a=b=c"}
    pod = a_pod(Container("main", BUSYBOX_IMAGE, ("env", "-0"), env=env))
    await node.run(pod)
    found = dict(item.split("=", 1) for item in (await node.log(pod)).split("\0") if "=" in item)
    assert {name: found[name] for name in env} == env


async def test_working_dir_tty_and_stdin(node: Node) -> None:
    pod = a_pod(shell("pwd; tty; cat", working_dir="/new/dir", tty=True, stdin=True))
    await node.running(pod)
    told = node.inspect(pod)["Config"]
    assert (told["WorkingDir"], told["Tty"], told["OpenStdin"]) == ("/new/dir", True, True)
    stream = aiter(node.log_stream(pod, follow=True))
    seen = b""
    while b"/dev/" not in seen:
        seen += await anext(stream)
    assert seen.startswith(b"/new/dir\r\n/dev/")


async def test_cpu_and_memory_limits(node: Node) -> None:
    pod = a_pod(shell("sleep 600", requests=Resources(cpu_millis=250), limits=Resources(cpu_millis=500, memory_bytes=32 << 20)))
    await node.running(pod)
    host = node.inspect(pod)["HostConfig"]
    assert (host["CpuShares"], host["CpuQuota"], host["CpuPeriod"], host["Memory"], host["PidsLimit"]) == (
        256,
        50_000,
        100_000,
        32 << 20,
        16384,
    )


async def test_memory_limit_kills(node: Node) -> None:
    report = await node.run(a_pod(shell("tail /dev/zero", limits=Resources(memory_bytes=16 << 20))))
    assert ended(report).exit_code == 137
    assert ended(report).reason == "OOMKilled"


async def test_ephemeral_storage_limit(node: Node) -> None:
    script = "dd if=/dev/zero of=/big bs=1M count=8; sleep 600"
    report = await node.run(a_pod(shell(script, limits=Resources(ephemeral_storage_bytes=1 << 20))))
    assert ended(report).exit_code != 0
    assert "ephemeral storage" in ended(report).message


async def test_restart_policy_on_failure_counts_and_keeps_the_last_state(node: Node) -> None:
    script = "echo attempt; echo why > /dev/termination-log; exit 5"
    pod = await node.submit(a_pod(shell(script), restart_policy="OnFailure"))
    report = await node.until(pod, lambda report: container(report).restart_count == 1 and container(report).last_state is not None)
    last = container(report).last_state
    assert last is not None
    assert (last.exit_code, last.message) == (5, "why\n")
    assert not report.finished


async def test_restart_policy_always_restarts_success(node: Node) -> None:
    pod = await node.submit(a_pod(shell("exit 0"), restart_policy="Always"))
    report = await node.until(pod, lambda report: container(report).restart_count >= 1)
    assert not report.finished


async def test_logs_of_the_previous_attempt(node: Node) -> None:
    script = "if [ -e /dev/shm/again ]; then echo second; sleep 600; fi; touch /dev/shm/again; echo first; exit 1"
    pod = await node.submit(a_pod(shell(script), restart_policy="OnFailure"))
    await node.until(pod, lambda report: container(report).restart_count == 1 and isinstance(container(report).state, Running))
    assert await node.log(pod, previous=True) == "first\n"


ACTIONS = pytest.mark.parametrize(
    "action",
    [ExecAction(("test", "-e", "/www/index.html")), HttpAction(8080, "/index.html"), TcpAction(8080)],
    ids=["exec", "httpGet", "tcpSocket"],
)
WHEN_TOLD = "trap 'exit 0' TERM; mkdir /www; until [ -e /shared/go ]; do sleep 0.1; done; touch /www/index.html; httpd -p 8080 -h /www"
"""Answers every action of ACTIONS when somebody makes the file, and none before."""


def told_when(probe: str, action: ExecAction | HttpAction | TcpAction) -> Workload:
    """A pod whose `main` answers its probe no sooner than a file is made in its volume."""
    kind: dict[str, Any] = {probe: Probe(action, period_seconds=1, failure_threshold=3600)}
    main = shell(f"{WHEN_TOLD}; sleep 600 & wait $!", mounts=(Mount("v", "/shared"),), **kind)
    return a_pod(main, volumes=(EmptyDirVolume("v"),), grace_seconds=1)


def tell(node: Node, workload: Workload) -> None:
    (volume_directory(node.settings, workload.uid, "v") / "go").touch()


@ACTIONS
async def test_readiness_probes(node: Node, action: ExecAction | HttpAction | TcpAction) -> None:
    pod = await node.submit(told_when("readiness_probe", action))
    report = await node.until(pod, lambda report: "Readiness probe failed" in container(report).message)
    assert (container(report).started, container(report).ready) == (True, False)
    tell(node, pod)
    await node.until(pod, lambda report: container(report).ready)


async def test_readiness_goes_again(node: Node) -> None:
    probe = Probe(TcpAction(8080), period_seconds=1, failure_threshold=1)
    serve = "httpd -p 8080 -h /; until [ -e /shared/go ]; do sleep 0.1; done; kill $(pidof httpd); sleep 600"
    main = shell(serve, mounts=(Mount("v", "/shared"),), readiness_probe=probe)
    pod = await node.submit(a_pod(main, volumes=(EmptyDirVolume("v"),), grace_seconds=1))
    await node.until(pod, lambda report: container(report).ready)
    tell(node, pod)
    report = await node.until(pod, lambda report: not container(report).ready)
    assert (container(report).restart_count, isinstance(container(report).state, Running)) == (0, True)


@ACTIONS
async def test_liveness_probe_restarts(node: Node, action: ExecAction | HttpAction | TcpAction) -> None:
    """The first attempt never answers its probe, the second does and stays."""
    script = f"if [ -e /shared/again ]; then touch /shared/go; {WHEN_TOLD}; fi; touch /shared/again; sleep 600 & wait $!"
    probe = Probe(action, period_seconds=1, failure_threshold=3, grace_seconds=1)
    main = shell(script, mounts=(Mount("v", "/shared"),), liveness_probe=probe, readiness_probe=probe)
    pod = await node.submit(a_pod(main, volumes=(EmptyDirVolume("v"),), restart_policy="Always", grace_seconds=1))
    report = await node.until(pod, lambda report: container(report).restart_count == 1 and container(report).ready)
    last = container(report).last_state
    assert last is not None
    assert "liveness probe" in last.message.lower(), last


@ACTIONS
async def test_startup_probe_holds_started_back(node: Node, action: ExecAction | HttpAction | TcpAction) -> None:
    pod = await node.submit(told_when("startup_probe", action))
    report = await node.until(pod, lambda report: "Startup probe failed" in container(report).message)
    assert (container(report).started, container(report).ready) == (False, False)
    tell(node, pod)
    report = await node.until(pod, lambda report: container(report).started)
    assert (container(report).ready, container(report).restart_count) == (True, 0)


async def test_a_probe_of_a_pod_without_an_address_fails(start_node: StartNode) -> None:
    node = await start_node(sandbox={"network": "none"})
    pod = await node.submit(a_pod(shell("sleep 600", readiness_probe=Probe(TcpAction(8080), period_seconds=1)), grace_seconds=1))
    await node.until(pod, lambda report: "the pod sandbox has no address" in container(report).message)


async def test_hooks_run_inside_and_grace_is_followed_by_kill(node: Node) -> None:
    main = shell(
        "trap 'echo deaf' TERM; echo up; while :; do sleep 0.1; done",
        post_start=ExecAction(("sh", "-c", "echo post-start > /proc/1/fd/1")),
        pre_stop=ExecAction(("sh", "-c", "echo pre-stop > /proc/1/fd/1")),
    )
    pod = a_pod(main, grace_seconds=2)
    await node.running(pod)
    stream = aiter(node.log_stream(pod, follow=True))
    log = b""
    while not (b"post-start" in log and b"up" in log):
        log += await anext(stream)
    deleting = asyncio.create_task(node.delete(pod))
    log += b"".join([chunk async for chunk in stream])
    await deleting
    assert sorted(log.decode().splitlines()[:2]) == ["post-start", "up"]
    assert log.decode().splitlines()[2:] == ["pre-stop", "deaf"]


async def test_active_deadline(node: Node) -> None:
    report = await node.run(a_pod(shell("sleep 600"), active_deadline_seconds=1, grace_seconds=1))
    assert (ended(report).exit_code, ended(report).reason) == (137, "DeadlineExceeded")


async def test_termination_message_from_file(node: Node) -> None:
    pod = a_pod(shell("echo because > /tmp/why; exit 1", termination_message_path="/tmp/why"))
    assert ended(await node.run(pod)).message == "because\n"


async def test_termination_message_from_file_by_any_user(node: Node) -> None:
    pod = a_pod(shell("echo because > /dev/termination-log", security=Security(run_as_user=1234)))
    assert ended(await node.run(pod)).message == "because\n"


async def test_termination_message_falls_back_to_the_log(node: Node) -> None:
    pod = a_pod(shell("seq 1 200; exit 1", termination_message_fallback=True))
    assert ended(await node.run(pod)).message == "".join(f"{number}\n" for number in range(121, 201))


async def test_a_command_that_is_not_there_fails_the_pod(node: Node) -> None:
    report = await node.run(a_pod(Container("main", BUSYBOX_IMAGE, ("no-such-program",))))
    assert ended(report).exit_code == 127
    assert ended(report).reason == "StartError"
    assert "no-such-program" in ended(report).message


async def test_log_of_an_unknown_container(node: Node) -> None:
    pod = a_pod(shell("exit 0"))
    await node.run(pod)
    with pytest.raises(NotFound):
        await anext(aiter(node.backend.logs(node.jobs[pod.uid], LogQuery("other"))))
    with pytest.raises(NotFound):
        await node.log(pod, previous=True)


async def test_an_image_that_is_not_there_waits_and_recovers(start_node: StartNode) -> None:
    node = await start_node()
    pod = await node.submit(a_pod(Container("main", "127.0.0.1:1/missing/app:1", ("echo", "here"))))
    report = await node.until(pod, lambda report: getattr(waiting(report), "reason", "") in {"ErrImagePull", "ImagePullBackOff"})
    assert "127.0.0.1:1/missing/app:1" in getattr(waiting(report), "message", "")
    with node.engine.client() as client:
        client.tag(BUSYBOX_IMAGE, "127.0.0.1:1/missing/app", "1")
    try:
        await node.until(pod, lambda report: report.finished)
        assert await node.log(pod) == "here\n"
    finally:
        with node.engine.client() as client:
            client.remove_image("127.0.0.1:1/missing/app:1")


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [("UPPER/case", "Always", "InvalidImageName"), ("absent:1", "Never", "ErrImageNeverPull")],
)
async def test_images_that_are_not_even_tried(node: Node, image: str, policy: str, reason: str) -> None:
    pod = await node.submit(a_pod(Container("main", image, ("true",), image_pull_policy=policy)))
    await node.until(pod, lambda report: getattr(waiting(report), "reason", "") == reason)
