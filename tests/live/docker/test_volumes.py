"""Rows of the coverage table that concern volumes, on a real engine."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlink_common.agent.runtime import StartError
from interlink_common.backend import Support
from interlink_common.errors import Refused
from interlink_common.model.report import Waiting
from interlink_common.model.workload import (
    CvmfsVolume,
    EmptyDirVolume,
    ExternalVolume,
    File,
    FilesVolume,
    HostPathVolume,
    Mount,
    Resources,
    Security,
)
from interlink_docker.client import Engine
from interlink_docker.volumes import Volumes
from tests.live.docker.conftest import StartNode
from tests.live.docker.node import Node, a_pod, container, ended, needs_privileged, shell


async def test_files_volume_modes_binary_data_sub_path_and_read_only(node: Node) -> None:
    volume = FilesVolume("v", (File("a", 0o400, b"A"), File("sub/b", 0o640, bytes(range(256)))), secret=True)
    script = "stat -c '%a %n' /v/a /v/sub/b; md5sum < /v/sub/b; cat /one; echo; (touch /v/new || echo read-only) 2>&1; ls /part"
    mounts = (Mount("v", "/v"), Mount("v", "/one", sub_path="a"), Mount("v", "/part", sub_path="sub"))
    pod = a_pod(shell(script, mounts=mounts), volumes=(volume,))
    await node.run(pod)
    assert (await node.log(pod)).splitlines() == [
        "400 /v/a",
        "640 /v/sub/b",
        "e2c865db4162bed963bfaa9ef6ac18f0  -",
        "A",
        "touch: /v/new: Read-only file system",
        "read-only",
        "b",
    ]
    pods = node.settings.state_dir / "pods"
    assert [oct(path.stat().st_mode & 0o777) for path in (pods, pods / pod.uid)] == ["0o700", "0o700"]


@pytest.mark.parametrize("in_memory", [False, True], ids=["disk", "memory"])
async def test_empty_dir_is_shared_and_outlives_containers(node: Node, in_memory: bool) -> None:
    mounts = (Mount("v", "/v"),)
    writer = shell("echo from init > /v/note; mount | grep -c 'tmpfs on /v ' || true", "writer", mounts=mounts)
    reader = shell("cat /v/note; until [ -e /v/reply ]; do sleep 0.1; done; cat /v/reply", "reader", mounts=mounts)
    other = shell("echo hi > /v/reply", "other", mounts=mounts, security=Security(run_as_user=1234))
    pod = a_pod(reader, other, init_containers=(writer,), volumes=(EmptyDirVolume("v", in_memory),))
    await node.run(pod)
    assert await node.log(pod, "reader") == "from init\nhi\n"
    assert await node.log(pod, "writer") == ("1\n" if in_memory else "0\n")


async def test_memory_empty_dir_size_limit(node: Node) -> None:
    script = "dd if=/dev/zero of=/v/big bs=1M count=4 2>/dev/null || echo full; stat -c %s /v/big"
    pod = a_pod(shell(script, mounts=(Mount("v", "/v"),)), volumes=(EmptyDirVolume("v", in_memory=True, size_limit_bytes=1 << 20),))
    await node.run(pod)
    assert await node.log(pod) == "full\n1048576\n"


async def test_disk_empty_dir_over_its_size_limit_is_evicted(node: Node) -> None:
    assert node.backend.capabilities.empty_dir_size_limit is Support.YES
    script = "dd if=/dev/zero of=/v/big bs=1M count=4; sleep 600"
    pod = a_pod(shell(script, mounts=(Mount("v", "/v"),)), volumes=(EmptyDirVolume("v", size_limit_bytes=1 << 20),))
    report = await node.run(pod)
    assert ended(report).exit_code != 0
    assert "Usage of EmptyDir volume v exceeds the limit" in ended(report).message


@pytest.mark.parametrize("in_memory", [False, True], ids=["disk", "memory"])
async def test_sub_path_of_an_empty_dir_is_made(node: Node, in_memory: bool) -> None:
    script = "echo x > /part/file; cat /v/a/b/file; stat -c %a /v/a/b"
    mounts = (Mount("v", "/v"), Mount("v", "/part", sub_path="a/b"))
    pod = a_pod(shell(script, mounts=mounts), volumes=(EmptyDirVolume("v", in_memory),))
    await node.run(pod)
    assert (await node.log(pod)).splitlines() == ["x", "1777" if in_memory else "777"]


LEFT_BY_THE_POD = "echo mine > /v/file; mkdir -m 750 /v/kept; chown 1234:1235 /v/kept; ln -s kept /v/link"
SUB_PATHS = ("file", "kept/inner", "link/other", "new/deep")
LOOK = "cat /v/file; stat -c '%a %u %g %F' /v/file /v/kept /v/new; stat -c %F /v/kept/inner /v/kept/other /v/new/deep"
KEPT = ["mine", "644 0 0 regular file", "750 1234 1235 directory", "1777 0 0 directory", "directory", "directory", "directory"]


async def test_sub_paths_keep_what_is_there(node: Node) -> None:
    mounts = (Mount("v", "/v"), *(Mount("v", f"/part{number}", sub_path=path) for number, path in enumerate(SUB_PATHS)))
    before = shell(LEFT_BY_THE_POD, "before", mounts=mounts[:1])
    pod = a_pod(shell(f"{LOOK}; cat /part0", mounts=mounts), init_containers=(before,), volumes=(EmptyDirVolume("v", in_memory=True),))
    await node.run(pod)
    assert (await node.log(pod)).splitlines() == [*KEPT, "mine"]


async def test_sub_paths_made_through_the_engine_keep_what_is_there(node: Node) -> None:
    """What is done for engines since 26, with requests that older ones know too."""
    volume = EmptyDirVolume("v", in_memory=True)
    script = f"{LEFT_BY_THE_POD}; until [ -e /v/made ]; do sleep 0.1; done; {LOOK}"
    pod = a_pod(shell(script, mounts=(Mount("v", "/v"),)), volumes=(volume,))
    await node.running(pod)
    engine = Engine(node.settings.engine)
    try:
        while not await engine.has_path(f"interlink-{pod.uid}-main-0", "/v/link"):  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.1)
        volumes = Volumes(engine, node.settings, as_root=True)
        for sub_path in (*SUB_PATHS, *SUB_PATHS, "made"):
            await volumes.make_sub_path(pod, volume, sub_path)
        with pytest.raises(StartError, match="subPath file/below"):
            await volumes.make_sub_path(pod, volume, "file/below")
    finally:
        await engine.close()
    await node.until(pod, lambda report: report.finished)
    assert (await node.log(pod)).splitlines() == KEPT


async def test_sub_path_through_a_link_out_of_the_volume_is_refused(node: Node) -> None:
    link = shell("ln -s /etc /v/link", "link", mounts=(Mount("v", "/v"),))
    main = shell("cat /part/shadow", mounts=(Mount("v", "/part", sub_path="link"),))
    pod = await node.submit(a_pod(main, init_containers=(link,), volumes=(EmptyDirVolume("v"),)))
    report = await node.until(pod, lambda report: isinstance(s := container(report).state, Waiting) and s.reason == "FailedMount")
    assert "leaves its volume" in str(container(report).state)


async def test_fs_group_owns_volumes(node: Node) -> None:
    script = "id -G; touch /d/x /m/x; stat -c '%g %a' /d /d/x /m/x /f/a; cat /f/a"
    mounts = (Mount("d", "/d"), Mount("m", "/m"), Mount("f", "/f"))
    main = shell(script, mounts=mounts, security=Security(run_as_user=1234, run_as_group=1235, supplemental_groups=(77,)))
    volumes = (EmptyDirVolume("d"), EmptyDirVolume("m", in_memory=True), FilesVolume("f", (File("a", 0o400, b"secret"),), secret=True))
    pod = a_pod(main, volumes=volumes, fs_group=4321)
    await node.run(pod)
    groups, *stats, secret = (await node.log(pod)).splitlines()
    assert set(groups.split()) == {"1235", "77", "4321"}
    assert stats == ["4321 2777", "4321 644", "4321 644", "4321 440"]
    assert secret == "secret"


async def test_host_path_below_the_allow_list(start_node: StartNode, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("of the host\n")
    (tmp_path / "data" / "out").symlink_to("/etc")
    node = await start_node(volumes={"host_path_allow": [str(tmp_path / "data")]})
    main = shell("cat /v/file; echo back > /v/new", mounts=(Mount("v", "/v"),))
    pod = a_pod(main, volumes=(HostPathVolume("v", str(tmp_path / "data"), "Directory"),))
    await node.run(pod)
    assert await node.log(pod) == "of the host\n"
    assert (tmp_path / "data" / "new").read_text() == "back\n"
    with pytest.raises(Refused, match="host_path_allow"):
        await node.submit(a_pod(main, volumes=(HostPathVolume("v", "/etc"),)))
    climbing = await node.submit(a_pod(main, volumes=(HostPathVolume("v", str(tmp_path / "data" / "out")),)))
    await node.until(climbing, lambda report: isinstance(s := container(report).state, Waiting) and s.reason == "FailedMount")


@pytest.mark.parametrize("sub_path", ["", "part"])
async def test_a_host_path_that_is_swapped_under_the_engine(
    start_node: StartNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sub_path: str
) -> None:
    """Another pod that may write to the allowed directory does it, after our checks and before the engine binds the path."""
    for directory, word in (("data/x", "allowed"), ("outside", "outside")):
        (tmp_path / directory / "part").mkdir(parents=True)
        for part in ("", "part"):
            (tmp_path / directory / part / "file").write_text(f"{word}\n")
    node = await start_node(volumes={"host_path_allow": [str(tmp_path / "data")]})
    create = Engine.create

    async def swap(engine: Engine, name: str, config: dict[str, Any]) -> None:
        if name.endswith("-main-0"):
            (tmp_path / "data" / "x").rename(tmp_path / "data" / "y")
            (tmp_path / "data" / "x").symlink_to(tmp_path / "outside")
        await create(engine, name, config)

    monkeypatch.setattr(Engine, "create", swap)
    main = shell("cat /v/file; touch /v/made", mounts=(Mount("v", "/v", sub_path=sub_path),))
    pod = a_pod(main, volumes=(HostPathVolume("v", str(tmp_path / "data" / "x")),))
    await node.run(pod)
    assert await node.log(pod) == "allowed\n"
    assert (tmp_path / "data" / "y" / sub_path / "made").exists()
    assert not (tmp_path / "outside" / sub_path / "made").exists()


async def test_host_path_of_a_plugin_that_may_not_mount(start_node: StartNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: 1000)
        node = await start_node(volumes={"host_path_allow": [str(tmp_path / "data")]})
    pod = a_pod(shell("echo mine > /v/file", mounts=(Mount("v", "/v"),)), volumes=(HostPathVolume("v", str(tmp_path / "data")),))
    await node.run(pod)
    assert (tmp_path / "data" / "file").read_text() == "mine\n"
    assert node.inspect(pod)["HostConfig"]["Mounts"][0]["Source"] == str(tmp_path / "data")


async def test_claims_by_the_operators_map(start_node: StartNode, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    node = await start_node(volumes={"claims": {"home": str(tmp_path / "home"), "live/shared": "shared-volume:ro"}})
    with node.engine.client() as client:
        client.create_volume("shared-volume")
    try:
        script = "echo mine > /home/file; touch /shared/x || true"
        volumes = (ExternalVolume("h", "persistentVolumeClaim", "home"), ExternalVolume("s", "persistentVolumeClaim", "shared"))
        pod = a_pod(shell(script, mounts=(Mount("h", "/home"), Mount("s", "/shared"))), volumes=volumes)
        await node.run(pod)
        assert (tmp_path / "home" / "file").read_text() == "mine\n"
        assert "Read-only file system" in await node.log(pod)
        await node.delete(pod)
        assert node.leftovers()["volumes"] == ["shared-volume"]
    finally:
        with node.engine.client() as client:
            client.remove_volume("shared-volume")


async def test_a_claim_of_a_namespace_and_one_of_a_pattern(start_node: StartNode, tmp_path: Path) -> None:
    for place in ("everybodys", "live", "home/bob"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "whose").write_text(f"of {place}\n")
    claims = {"data": f"{tmp_path}/everybodys", "live/data": f"{tmp_path}/live:ro", "claim-{user}": f"{tmp_path}/home/{{user}}"}
    node = await start_node(volumes={"claims": claims})
    volumes = (ExternalVolume("d", "persistentVolumeClaim", "data"), ExternalVolume("h", "persistentVolumeClaim", "claim-bob"))
    main = shell("cat /data/whose /home/whose", mounts=(Mount("d", "/data"), Mount("h", "/home")))
    for namespace, whose in (("live", "live"), ("other", "everybodys")):
        pod = replace(a_pod(main, volumes=volumes), namespace=namespace)
        await node.run(pod)
        assert (await node.log(pod)).splitlines() == [f"of {whose}", "of home/bob"]


async def test_what_is_below_an_export(start_node: StartNode, tmp_path: Path) -> None:
    (tmp_path / "nfs" / "part" / "deep").mkdir(parents=True)
    (tmp_path / "nfs" / "part" / "deep" / "file").write_text("deep\n")
    (tmp_path / "nfs" / "out").symlink_to("/etc")
    node = await start_node(volumes={"nfs": {"server:/export": str(tmp_path / "nfs")}})
    part = ExternalVolume("n", "nfs", "server:/export/part")
    pod = a_pod(shell("cat /n/deep/file /d/file", mounts=(Mount("n", "/n"), Mount("n", "/d", sub_path="deep"))), volumes=(part,))
    await node.run(pod)
    assert (await node.log(pod)).splitlines() == ["deep", "deep"]
    for path in ("none", "out"):
        pod = await node.submit(
            a_pod(shell("true", mounts=(Mount("n", "/n"),)), volumes=(ExternalVolume("n", "nfs", f"server:/export/{path}"),))
        )
        await node.until(pod, lambda report: getattr(report.containers[0].state, "reason", "") == "FailedMount")


async def test_nfs_and_csi_by_the_operators_map(start_node: StartNode, tmp_path: Path) -> None:
    maps = {"nfs": {"server:/export": str(tmp_path / "nfs")}, "csi": {"driver.example.org": f"{tmp_path / 'csi'}:ro"}}
    for kind in maps:
        (tmp_path / kind / "part").mkdir(parents=True)
        (tmp_path / kind / "part" / "file").write_text(f"{kind}\n")
    node = await start_node(volumes=maps)
    volumes = (ExternalVolume("n", "nfs", "server:/export"), ExternalVolume("c", "csi", "driver.example.org"))
    mounts = (Mount("n", "/nfs"), Mount("c", "/csi"), Mount("n", "/part", sub_path="part"))
    pod = a_pod(
        shell("cat /nfs/part/file /csi/part/file /part/file; echo mine > /nfs/new; touch /csi/new 2>&1", mounts=mounts), volumes=volumes
    )
    await node.run(pod)
    assert (await node.log(pod)).splitlines() == ["nfs", "csi", "nfs", "touch: /csi/new: Read-only file system"]
    assert (tmp_path / "nfs" / "new").read_text() == "mine\n"


async def test_ephemeral_storage_of_small_writers_is_fine(node: Node) -> None:
    report = await node.run(a_pod(shell("echo x > /small", limits=Resources(ephemeral_storage_bytes=1 << 20))))
    assert ended(report).exit_code == 0


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@pytest.fixture
def cvmfs(tmp_path: Path) -> Iterator[Path]:
    """A shared mount, as autofs makes one, with one repository in it."""
    root = tmp_path / "cvmfs"
    root.mkdir()
    mount("-t", "tmpfs", "cvmfs", str(root))
    mount("--make-rshared", str(root))
    (root / "atlas.example.org").mkdir()
    (root / "atlas.example.org" / "release").write_text("42\n")
    yield root
    subprocess.run(["umount", "--recursive", "--lazy", root], check=True)


async def test_cvmfs_is_read_only_and_later_mounts_appear(start_node: StartNode, cvmfs: Path) -> None:
    node = await start_node(cvmfs={"path": str(cvmfs)})
    script = (
        "cat /cvmfs/atlas.example.org/release; touch /cvmfs/x 2>&1; until cat /cvmfs/later.example.org/file 2>/dev/null; do sleep 0.1; done"
    )
    pod = a_pod(shell(script, mounts=(Mount("c", "/cvmfs"),)), volumes=(CvmfsVolume("c", ("atlas.example.org",)),))
    await node.running(pod)
    later = cvmfs / "later.example.org"
    later.mkdir()
    await asyncio.to_thread(mount, "-t", "tmpfs", "later", str(later))
    (later / "file").write_text("mounted later\n")
    await node.until(pod, lambda report: report.finished)
    assert await node.log(pod) == "42\ntouch: /cvmfs/x: Read-only file system\nmounted later\n"


async def test_a_missing_cvmfs_repository_is_no_empty_directory(start_node: StartNode, cvmfs: Path) -> None:
    node = await start_node(cvmfs={"path": str(cvmfs)})
    (cvmfs / "empty.example.org").mkdir()
    for repository in ("none.example.org", "empty.example.org"):
        pod = a_pod(shell("true", mounts=(Mount("c", "/cvmfs"),)), volumes=(CvmfsVolume("c", (repository,)),))
        await node.submit(pod)
        report = await node.until(pod, lambda report: isinstance(s := container(report).state, Waiting) and s.reason == "FailedMount")
        assert repository in str(container(report).state)


@pytest.mark.parametrize(("policy", "restarts"), [("Never", 0), ("OnFailure", 1)])
async def test_a_missing_cvmfs_repository_fails_the_container_in_the_end(
    start_node: StartNode, cvmfs: Path, policy: str, restarts: int
) -> None:
    node = await start_node(cvmfs={"path": str(cvmfs), "give_up_seconds": 0})
    pod = a_pod(shell("true", mounts=(Mount("c", "/cvmfs"),)), volumes=(CvmfsVolume("c", ("none.example.org",)),), restart_policy=policy)
    await node.submit(pod)
    report = await node.until(pod, lambda report: report.finished or container(report).restart_count >= restarts > 0)
    failure = ended(report) if restarts == 0 else container(report).last_state
    assert failure is not None
    assert (failure.exit_code, failure.reason) == (128, "ContainerCannotRun")
    assert "none.example.org is not available on this node" in failure.message
    assert report.finished == (restarts == 0)


async def test_mounts_of_the_host_appear_with_host_to_container_alone(start_node: StartNode, cvmfs: Path) -> None:
    node = await start_node(volumes={"host_path_allow": [str(cvmfs)]})
    script = "until [ -e /h/told ]; do sleep 0.1; done; cat /h/inner/file"
    names = ("HostToContainer", "None", "")
    mains = [shell(script, name.lower() or "unset", mounts=(Mount("h", "/h", propagation=name),)) for name in names]
    pod = a_pod(*mains, volumes=(HostPathVolume("h", str(cvmfs)),))
    await node.running(pod)
    (cvmfs / "inner").mkdir()
    await asyncio.to_thread(mount, "-t", "tmpfs", "inner", str(cvmfs / "inner"))
    (cvmfs / "inner" / "file").write_text("mounted later\n")
    (cvmfs / "told").touch()
    await node.until(pod, lambda report: report.finished)
    assert await node.log(pod, "hosttocontainer") == "mounted later\n"
    for name in ("none", "unset"):
        assert "No such file" in await node.log(pod, name)


@needs_privileged
async def test_mounts_of_a_container_reach_the_host_with_bidirectional(start_node: StartNode, cvmfs: Path) -> None:
    node = await start_node(
        volumes={"host_path_allow": [str(cvmfs)]}, security={"allow_privileged": True, "allow_bidirectional_mounts": True}
    )
    (cvmfs / "inner").mkdir()
    script = "mount -t tmpfs inside /h/inner && echo made > /h/inner/file"
    main = shell(script, mounts=(Mount("h", "/h", propagation="Bidirectional"),), security=Security(privileged=True))
    report = await node.run(a_pod(main, volumes=(HostPathVolume("h", str(cvmfs)),)))
    assert ended(report).exit_code == 0, ended(report).message
    assert (cvmfs / "inner" / "file").read_text() == "made\n"


@pytest.mark.parametrize("fs_group", [None, 4321])
async def test_empty_dir_of_a_plugin_without_root(start_node: StartNode, monkeypatch: pytest.MonkeyPatch, fs_group: int | None) -> None:
    """The engine keeps the directory then, and it must be as open as the kubelet's."""
    with monkeypatch.context() as patch:
        patch.setattr("os.geteuid", lambda: 1000)
        node = await start_node()
    assert node.backend.capabilities.empty_dir_size_limit is Support.WARN
    mounts = (Mount("d", "/d"),)
    writer = shell("echo hi > /d/note; stat -c '%a %g' /d /d/note", "writer", mounts=mounts, security=Security(run_as_user=1234))
    reader = shell("cat /d/note", mounts=mounts)
    pod = a_pod(reader, init_containers=(writer,), volumes=(EmptyDirVolume("d"),), fs_group=fs_group)
    await node.run(pod)
    assert await node.log(pod, "writer") == ("777 0\n644 0\n" if fs_group is None else "2777 4321\n644 4321\n")
    assert await node.log(pod) == "hi\n"
