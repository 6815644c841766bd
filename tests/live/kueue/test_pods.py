"""What of a pod works on a real kubelet, through translation alone: the kubelet does the rest."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from interlink_common.backend import Verdict
from interlink_common.errors import NotFound, Refused
from interlink_common.model.report import Running, Terminated
from interlink_common.model.workload import (
    Container,
    CvmfsVolume,
    EmptyDirVolume,
    ExecAction,
    ExternalVolume,
    File,
    FilesVolume,
    HostPathVolume,
    HttpAction,
    Mount,
    Port,
    Probe,
    RegistryCredential,
    Resources,
    Security,
    TcpAction,
)
from interlink_kueue.labels import POD_UID
from tests.live.kueue.conftest import StartRemote
from tests.live.kueue.remote import PATIENCE_SECONDS, Remote, a_pod, container, ended, shell, waiting
from tests.servers.kubernetes_node import BUSYBOX_IMAGE
from tests.servers.kubernetes_plugin import Api

SHARED = EmptyDirVolume("shared")
MOUNT = (Mount("shared", "/shared"),)


async def test_several_containers_in_parallel_with_own_codes_logs_and_localhost(remote: Remote) -> None:
    server = shell("echo serving; echo hello | nc -l -p 8080", "server")
    client = shell("until nc 127.0.0.1 8080; do sleep 0.1; done; exit 3", "client")
    pod = a_pod(server, client)
    report = await remote.run(pod)
    assert [ended(report, name).exit_code for name in ("server", "client")] == [0, 3]
    assert (await remote.log(pod, "server"), (await remote.log(pod, "client")).endswith("hello\n")) == ("serving\n", True)


async def test_command_and_args_in_all_four_combinations(remote: Remote) -> None:
    """The image's command is a shell, which ends at once without a terminal."""
    pod = a_pod(
        Container("neither", BUSYBOX_IMAGE),
        Container("command", BUSYBOX_IMAGE, command=("echo", "one two")),
        Container("args", BUSYBOX_IMAGE, args=("echo", "three")),
        Container("both", BUSYBOX_IMAGE, command=("echo",), args=("four", "")),
    )
    report = await remote.run(pod)
    assert [c.state.exit_code for c in report.containers if isinstance(c.state, Terminated)] == [0, 0, 0, 0]
    assert [await remote.log(pod, name) for name in ("neither", "command", "args", "both")] == ["", "one two\n", "three\n", "four \n"]


async def test_values_arrive_byte_for_byte_and_are_expanded_only_once(remote: Remote) -> None:
    values = {"Q": "a\"b'c`d\\", "N": "one\ntwo", "D": "$HOME $(Q) $$(Q) $$", "U": "üñ→", "E": ""}
    main = Container("main", BUSYBOX_IMAGE, ("sh", "-c"), ('printf "%s|" "$Q" "$N" "$D" "$U" "$E" "$0"', "$(Q) $$ $"), env=values)
    pod = a_pod(main)
    await remote.run(pod)
    assert await remote.log(pod) == "".join(f"{value}|" for value in (*values.values(), "$(Q) $$ $"))


async def test_working_dir_tty_and_stdin(remote: Remote) -> None:
    pod = a_pod(shell("pwd; test -t 1 && echo terminal", working_dir="/tmp", tty=True), shell("cat", "reads", stdin=True, stdin_once=True))
    await remote.submit(pod)
    await remote.until(pod, lambda report: isinstance(container(report).state, Terminated))
    assert (await remote.log(pod)).split() == ["/tmp", "terminal"]


async def test_files_with_modes_binary_data_and_sub_path(remote: Remote) -> None:
    files = FilesVolume("cm", (File("a/b.conf", 0o440, b"hello"), File("blob", 0o644, b"\x00\xff")))
    secret = FilesVolume("pw", (File("password", 0o400, b"p@ss"),), secret=True)
    reading = "stat -L -c %a /cm/a/b.conf /pw/password; cat /cm/a/b.conf; od -An -tx1 /cm/blob; cat /one.conf"
    look = f"{reading}; touch /cm/x 2>/dev/null || echo read-only"
    mounts = (Mount("cm", "/cm"), Mount("pw", "/pw"), Mount("cm", "/one.conf", sub_path="a/b.conf"))
    pod = a_pod(shell(look, mounts=mounts), shell("cat /cm/a/b.conf", "other", mounts=mounts), volumes=(files, secret))
    await remote.run(pod)
    said = await remote.log(pod)
    assert said.startswith("440\n400\nhello 00 ff\nhello"), said
    assert "read-only\n" in said
    assert [len(remote.objects(kind, pod)) for kind in ("configmaps", "secrets")] == [1, 1]
    assert "p@ss" not in str(remote.remote_pod(pod))


async def test_files_over_the_size_of_one_object(remote: Remote) -> None:
    files = tuple(File(f"part-{number}", 0o644, bytes([65 + number]) * 600_000) for number in range(3))
    pod = a_pod(shell("cat /cm/* | wc -c", mounts=(Mount("cm", "/cm"),)), volumes=(FilesVolume("cm", files),))
    await remote.run(pod)
    assert await remote.log(pod) == "1800000\n"


async def test_the_users_own_service_account_token_is_the_one_that_is_mounted(remote: Remote) -> None:
    path = "/var/run/secrets/kubernetes.io/serviceaccount"
    token = FilesVolume("kube-api-access-x", (File("token", 0o644, b"virtual"),), secret=True)
    pod = a_pod(shell(f"cat {path}/token", mounts=(Mount(token.name, path, read_only=True),)), volumes=(token,))
    bare = a_pod(shell(f"ls {path}"))
    await remote.run(pod)
    assert await remote.log(pod) == "virtual"
    assert ended(await remote.run(bare)).exit_code != 0


async def test_empty_dirs_are_shared(remote: Remote) -> None:
    memory = EmptyDirVolume("fast", in_memory=True, size_limit_bytes=2**20)
    init = shell("echo staged > /shared/x", "init", mounts=MOUNT)
    main = shell("cat /shared/x; stat -f -c %T /fast", mounts=(*MOUNT, Mount("fast", "/fast")))
    pod = a_pod(main, init_containers=(init,), volumes=(SHARED, memory))
    await remote.run(pod)
    assert await remote.log(pod) == "staged\ntmpfs\n"


async def test_an_empty_dir_over_its_limit_is_evicted_and_says_so(remote: Remote) -> None:
    main = shell("head -c 3000000 /dev/zero > /shared/x; sleep 600", mounts=MOUNT)
    pod = a_pod(main, volumes=(EmptyDirVolume("shared", size_limit_bytes=2**20),))
    report = await remote.run(pod)
    assert ended(report).exit_code != 0
    assert "exceeds the limit" in ended(report).message


async def test_host_path_below_the_allow_list(start_remote: StartRemote, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    (folder / "x").write_text("from the node\n")
    remote = await start_remote(volumes={"host_path_allow": [f"{folder}:ro"]})
    mounts = (Mount("data", "/data"),)
    pod = a_pod(shell("cat /data/x; touch /data/y || echo read-only", mounts=mounts), volumes=(HostPathVolume("data", str(folder)),))
    await remote.run(pod)
    assert "from the node\n" in await remote.log(pod)
    assert not (folder / "y").exists()
    with pytest.raises(Refused, match=r"volumes\.host_path_allow"):
        await remote.submit(a_pod(shell("exit 0"), volumes=(HostPathVolume("data", "/etc"),)))


async def test_a_claim_by_the_operators_map(start_remote: StartRemote, api: Api, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("volume")
    remote = await start_remote(volumes={"claims": {"scratch": "remote-scratch"}})
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "", "hostPath": {"path": str(folder)}}
    api.call(
        "POST", "/api/v1/persistentvolumes", {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "one"}, "spec": spec}
    )
    claims = f"/api/v1/namespaces/{remote.namespace}/persistentvolumeclaims"
    wanted = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "remote-scratch"}, "spec": wanted}
    api.call("POST", claims, claim)
    volume = ExternalVolume("scratch", "persistentVolumeClaim", "scratch")
    await remote.run(a_pod(shell("echo kept > /scratch/x", mounts=(Mount("scratch", "/scratch"),)), volumes=(volume,)))
    assert (folder / "x").read_text() == "kept\n"


async def test_an_ephemeral_volume_by_the_operators_map(
    start_remote: StartRemote, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its claim is made there, and goes with the pod."""
    folder = tmp_path_factory.mktemp("volume")
    remote = await start_remote(volumes={"storage_classes": {"fast": "by-hand"}})
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "by-hand",
        "hostPath": {"path": str(folder)},
    }
    api.call(
        "POST", "/api/v1/persistentvolumes", {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "two"}, "spec": spec}
    )
    volume = ExternalVolume("scratch", "ephemeral", "fast", False, {"accessModes": "ReadWriteOnce", "storage": "1073741824"})
    pod = a_pod(shell("echo kept > /scratch/x", mounts=(Mount("scratch", "/scratch"),)), volumes=(volume,))
    await remote.run(pod)
    assert (folder / "x").read_text() == "kept\n"
    claims = f"/api/v1/namespaces/{remote.namespace}/persistentvolumeclaims", f"{POD_UID}={pod.uid}"
    assert len(api.items(*claims)) == 1
    await remote.delete(pod)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while api.items(*claims):  # noqa: ASYNC110  the garbage collector is another program
            await asyncio.sleep(0.2)


def shared_mount(folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "cvmfs", folder], check=True)
    subprocess.run(["mount", "--make-shared", folder], check=True)


async def test_cvmfs_is_read_only_and_appears_from_the_host(
    start_remote: StartRemote, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    """A mount that is shared, as that of autofs is."""
    folder = tmp_path_factory.mktemp("cvmfs")
    shared_mount(folder)
    request.addfinalizer(lambda: subprocess.run(["umount", "--lazy", folder], check=True))
    (folder / "atlas.cern.ch").mkdir()
    (folder / "atlas.cern.ch/file").write_text("software\n")
    remote = await start_remote(cvmfs={"host_path": str(folder)})
    volume = CvmfsVolume("cvmfs", ("atlas.cern.ch",))
    main = shell("cat /cvmfs/atlas.cern.ch/file; touch /cvmfs/x || echo read-only", mounts=(Mount("cvmfs", "/cvmfs", read_only=True),))
    pod = a_pod(main, volumes=(volume,))
    await remote.run(pod)
    assert (await remote.log(pod)).startswith("software\n")
    assert not (folder / "x").exists()
    (mount,) = remote.remote_pod(pod)["spec"]["containers"][0]["volumeMounts"]
    assert mount["mountPropagation"] == "HostToContainer"


async def test_resources_arrive_as_they_are(remote: Remote) -> None:
    requests, limits = Resources(cpu_millis=150, memory_bytes=32 * 2**20), Resources(cpu_millis=500, memory_bytes=64 * 2**20)
    pod = a_pod(shell("exit 0", requests=requests, limits=limits))
    await remote.run(pod)
    assert remote.remote_pod(pod)["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "150m", "memory": "33554432"},
        "limits": {"cpu": "500m", "memory": "67108864"},
    }


async def test_the_memory_limit_kills_and_says_so(remote: Remote) -> None:
    pod = a_pod(shell("head -c 200000000 /dev/zero | tail", limits=Resources(memory_bytes=16 * 2**20)))
    state = ended(await remote.run(pod))
    assert (state.exit_code, state.reason) == (137, "OOMKilled")


async def test_a_device_that_no_node_has_is_told_by_the_scheduler(start_remote: StartRemote) -> None:
    remote = await start_remote(placement={"resources": {"nvidia.com/gpu": "example.com/gpu"}})
    gpu = Resources(devices={"nvidia.com/gpu": 1})
    pod = a_pod(shell("exit 0", requests=gpu, limits=gpu))
    await remote.submit(pod)
    await remote.until_waiting(pod, "Unschedulable", "Insufficient example.com/gpu")


async def test_probes(remote: Remote) -> None:
    served = "mkdir /tmp/www; httpd -p 8080 -h /tmp/www; sleep 2; echo ok > /tmp/www/ready; sleep 600"
    ready = Probe(HttpAction(8080, "/ready"), period_seconds=1)
    startup = Probe(TcpAction(8080), period_seconds=1)
    one = shell(served, ports=(Port(8080, name="http"),), startup_probe=startup, readiness_probe=ready)
    liveness = Probe(ExecAction(("test", "-e", "/tmp/alive")), period_seconds=1, failure_threshold=1, initial_delay_seconds=1)
    two = shell("sleep 600", "dies", liveness_probe=liveness)
    pod = a_pod(one, two, restart_policy="Always", grace_seconds=1)
    await remote.submit(pod)
    await remote.until(pod, lambda report: isinstance(container(report).state, Running) and not container(report).ready)
    await remote.until(pod, lambda report: container(report).ready)
    await remote.until(pod, lambda report: container(report, "dies").restart_count > 0)


async def test_hooks_run_and_the_deadline_ends(remote: Remote) -> None:
    main = shell(
        "sleep 600",
        mounts=MOUNT,
        post_start=ExecAction(("sh", "-c", "echo begun > /shared/x")),
        pre_stop=ExecAction(("sh", "-c", "cat /shared/x > /proc/1/fd/1")),
    )
    pod = a_pod(main, volumes=(SHARED,), active_deadline_seconds=4, grace_seconds=2)
    state = ended(await remote.run(pod))
    assert state.exit_code != 0
    assert "DeadlineExceeded" in state.message
    assert await remote.log(pod) == "begun\n"


async def test_termination_messages(remote: Remote) -> None:
    pod = a_pod(
        shell("echo because > /tmp/why; exit 3", termination_message_path="/tmp/why"),
        shell("echo last words; exit 4", "log", termination_message_fallback=True),
    )
    report = await remote.run(pod)
    assert [(ended(report, name).exit_code, ended(report, name).message) for name in ("main", "log")] == [
        (3, "because\n"),
        (4, "last words\n"),
    ]


async def test_an_image_that_is_not_there_waits_and_says_so(remote: Remote) -> None:
    pod = a_pod(shell("exit 0", image="localhost/no-such-image:1"), registry_credentials=(RegistryCredential("localhost", "me", "x"),))
    await remote.submit(pod)
    report = await remote.until(pod, lambda report: (w := waiting(report)) is not None and w.reason in ("ErrImagePull", "ImagePullBackOff"))
    assert "localhost/no-such-image:1" in waiting(report).message  # type: ignore[union-attr]
    (secret,) = remote.objects("secrets", pod)
    assert remote.remote_pod(pod)["spec"]["imagePullSecrets"] == [{"name": secret["metadata"]["name"]}]


async def test_security_contexts(remote: Remote) -> None:
    security = Security(run_as_user=1234, run_as_group=1235, read_only_root_filesystem=True, capabilities_drop=("ALL",))
    main = shell("id -u; id -g; touch /x 2>/dev/null || echo read-only; stat -c %g /shared", mounts=MOUNT, security=security)
    pod = a_pod(main, volumes=(SHARED,), fs_group=1236)
    await remote.run(pod)
    assert await remote.log(pod) == "1234\n1235\nread-only\n1236\n"
    refused = a_pod(shell("exit 0", security=Security(run_as_non_root=True)))
    await remote.submit(refused)
    await remote.until_waiting(refused, "CreateContainerConfigError")


async def test_hostname_host_aliases_and_shared_processes(remote: Remote) -> None:
    main = shell("hostname; grep db.local /etc/hosts; ps | grep -c 'sleep 4321'")
    pod = replace(a_pod(main, shell("sleep 4321", "other")), hostname="ring-0", host_aliases=(("10.9.8.7", ("db.local",)),))
    pod = replace(pod, share_process_namespace=True)
    await remote.submit(pod)
    await remote.until(pod, lambda report: isinstance(container(report).state, Terminated))
    assert (await remote.log(pod)).split()[:3] == ["ring-0", "10.9.8.7", "db.local"]
    assert int((await remote.log(pod)).split()[-1]) >= 1


async def test_pods_of_one_subdomain_find_each_other(remote: Remote) -> None:
    """There is no DNS service here: what such a service answers with are the addresses of the EndpointSlices."""
    pods = [replace(a_pod(shell("sleep 600")), hostname=f"ring-{number}", subdomain="ring") for number in range(2)]
    for pod in pods:
        await remote.running(pod)
    addresses = {remote.remote_pod(pod)["spec"]["hostname"]: remote.remote_pod(pod)["status"]["podIP"] for pod in pods}

    def found() -> dict[str, str]:
        slices = remote.api.items(
            f"/apis/discovery.k8s.io/v1/namespaces/{remote.namespace}/endpointslices", "kubernetes.io/service-name=ring"
        )  # fmt: skip
        return {one["hostname"]: one["addresses"][0] for made in slices for one in made["endpoints"] or ()}

    async with asyncio.timeout(PATIENCE_SECONDS):
        while found() != addresses:  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.1)
    await remote.delete(pods[0])
    assert len(remote.objects("services")) == 1


async def test_pod_security_is_one_clear_sentence(start_remote: StartRemote, api: Api) -> None:
    remote = await start_remote(security={"allow_privileged": True})
    namespace = f"/api/v1/namespaces/{remote.namespace}"
    label = "pod-security.kubernetes.io/enforce"
    api.call("PATCH", namespace, {"metadata": {"labels": {label: "baseline"}}}, "application/merge-patch+json")
    try:
        with pytest.raises(Refused) as caught:
            await remote.submit(a_pod(shell("exit 0", security=Security(privileged=True))))
    finally:
        api.call("PATCH", namespace, {"metadata": {"labels": {label: None}}}, "application/merge-patch+json")
    assert str(caught.value) == (
        "the remote cluster does not accept the pod: violates PodSecurity ”baseline:latest”: "
        "privileged (container ”main” must not set securityContext.privileged=true)"
    )
    await remote.until_nothing_is_left()


async def test_logs_byte_for_byte_with_all_options_and_many_followers(remote: Remote) -> None:
    pod = a_pod(shell(r"printf 'a\377b\n'; sleep 5; echo two; echo three"))
    await remote.running(pod)

    async def follow() -> bytes:
        return await remote.raw_log(pod, follow=True)

    followed = await asyncio.gather(*(follow() for _ in range(20)))
    assert followed == [b"a\xffb\ntwo\nthree\n"] * 20
    assert await remote.raw_log(pod, tail_lines=1) == b"three\n"
    assert await remote.raw_log(pod, limit_bytes=3) == b"a\xffb"
    stamped = await remote.raw_log(pod, timestamps=True)
    assert all(line.split(b" ")[0].endswith(b"Z") for line in stamped.splitlines())
    with pytest.raises(NotFound):
        await remote.raw_log(pod, previous=True)


async def test_a_hundred_pods_at_once_leave_nothing(remote: Remote) -> None:
    pods = [a_pod(shell(f"exit {number % 7}", requests=Resources(cpu_millis=1))) for number in range(100)]
    await asyncio.gather(*(remote.submit(pod) for pod in pods))
    await remote.until_true(lambda: all(pod.uid in remote.reports and remote.reports[pod.uid].finished for pod in pods))
    assert [ended(remote.reports[pod.uid]).exit_code for pod in pods] == [number % 7 for number in range(100)]


async def test_the_rights_of_the_rbac_files_are_enough_and_checked(remote: Remote) -> None:
    assert [row.verdict for row in await remote.backend.check()] == [Verdict.OK, Verdict.OK]


async def test_capacity_is_what_the_nodes_offer(remote: Remote) -> None:
    capacity = await remote.backend.capacity()
    assert capacity.pods == 250
    assert (capacity.cpu_millis or 0) >= 1000
