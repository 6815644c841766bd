"""A pod's volumes on a worker node: found by the operator's maps, never beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import Container, CvmfsVolume, EmptyDirVolume, ExternalVolume, HostPathVolume, Mount, Volume, Workload
from interlink_common.podrunner.config import CvmfsOptions, RunnerConfig
from interlink_common.podrunner.container_runtime import Bind
from interlink_common.podrunner.job import wrapping
from interlink_common.podrunner.volumes import Volumes, remove_tree


async def bound(tmp_path: Path, volume: Volume, namespace: str = "ns", sub_path: str = "", **options: Any) -> Bind:
    """What the volume is in a container. Raises StartError."""
    container = Container("main", "x", mounts=(Mount("it", "/it", sub_path=sub_path),))
    volumes = Volumes(Workload("u", "n", namespace, (container,), volumes=(volume,)), RunnerConfig(**options), tmp_path / "job")
    await volumes.prepare()
    return volumes.binds(container)[0]


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        ("", "allowed/file", ""),
        ("File", "allowed/file", ""),
        ("Directory", "allowed/file", "is no Directory"),
        ("", "allowed/none", "is no file or directory"),
        ("DirectoryOrCreate", "allowed/new", ""),
        ("FileOrCreate", "allowed/new", ""),
        ("DirectoryOrCreate", "allowed/closed/new", "is no DirectoryOrCreate"),
        ("FileOrCreate", "allowed/closed/new", "is no FileOrCreate"),
        ("", "allowed/inner-link", ""),
        ("", "allowed/link", "is not allowed on this site"),
        ("", "allowed/../other", "is not allowed on this site"),
        ("", "other", "is not allowed on this site"),
        ("", "other/link-to-allowed", "is not allowed on this site"),
        ("", "allowed-too", "is not allowed on this site"),
    ],
)
async def test_host_paths(tmp_path: Path, kind: str, path: str, words: str) -> None:
    for name in ("allowed/closed", "other", "allowed-too"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "allowed/file").touch()
    (tmp_path / "allowed/link").symlink_to(tmp_path / "other")
    (tmp_path / "allowed/inner-link").symlink_to(tmp_path / "allowed/closed")
    (tmp_path / "other/link-to-allowed").symlink_to(tmp_path / "allowed")
    allow = (f"{tmp_path}/allowed", f"{tmp_path}/allowed/closed:ro")
    volume = HostPathVolume("it", str(tmp_path / path), kind)
    if words:
        with pytest.raises(StartError, match=words):
            await bound(tmp_path, volume, host_path_allow=allow)
        assert not (tmp_path / "allowed/closed/new").exists()
    else:
        assert (await bound(tmp_path, volume, host_path_allow=allow)).read_only == (path == "allowed/inner-link")


async def test_a_claim_of_a_namespace_is_the_namespaces_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("everybodys", "a", "home/bob"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("SITE", str(tmp_path))
    claims = {"data": "$SITE/everybodys", "team-a/data": "${SITE}/a:ro", "claim-{user}": "$SITE/home/{user}"}
    data = ExternalVolume("it", "persistentVolumeClaim", "data")
    assert await bound(tmp_path, data, "team-a", claims=claims) == Bind(f"{tmp_path}/a", "/it", True)
    assert await bound(tmp_path, data, "team-b", claims=claims) == Bind(f"{tmp_path}/everybodys", "/it")
    alone = {"team-a/data": "$SITE/a"}
    assert await bound(tmp_path, data, "team-a", claims=alone) == Bind(f"{tmp_path}/a", "/it")
    with pytest.raises(StartError, match="volume it: the claim data is not mapped on this site"):
        await bound(tmp_path, data, "team-b", claims=alone)
    home = ExternalVolume("it", "persistentVolumeClaim", "claim-bob")
    assert await bound(tmp_path, home, claims=claims) == Bind(f"{tmp_path}/home/bob", "/it")
    for name, words in (("claim-..", "cannot be part of a path"), ("claim-eve", "is not there on the node")):
        with pytest.raises(StartError, match=words):
            await bound(tmp_path, ExternalVolume("it", "persistentVolumeClaim", name), claims=claims)


async def test_what_a_claim_is_called_is_no_variable_of_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "x")
    (tmp_path / "x").mkdir()
    claims = {"claim-{user}": f"{tmp_path}/{{user}}", "unset": "$NOBODY_SET_THIS"}
    for name in ("claim-$OTHER", "claim-${OTHER}", "unset"):
        with pytest.raises(StartError, match=r"cannot be part of a path|is no path on the node"):
            await bound(tmp_path, ExternalVolume("it", "persistentVolumeClaim", name), claims=claims)


async def test_nothing_is_made_in_what_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "site/there").mkdir(parents=True)
    claims, data = {"data": f"{tmp_path}/site:ro"}, ExternalVolume("it", "persistentVolumeClaim", "data")
    assert (await bound(tmp_path, data, sub_path="there", claims=claims)).source == f"{tmp_path}/site/there"
    with pytest.raises(StartError, match="Read-only file system"):
        await bound(tmp_path, data, sub_path="new", claims=claims)
    for inner, words in (("there", ""), ("new", "Read-only file system")):
        container = Container("main", "x", mounts=(Mount("it", "/it"), Mount("own", f"/it/{inner}")))
        workload = Workload("u", "n", "ns", (container,), volumes=(data, EmptyDirVolume("own")))
        volumes = Volumes(workload, RunnerConfig(claims=claims), tmp_path / "job")
        await volumes.prepare()
        if words:
            with pytest.raises(StartError, match=words):
                volumes.binds(container)
        else:
            assert len(volumes.binds(container)) == 2
    assert [path.name for path in (tmp_path / "site").iterdir()] == ["there"]


async def test_no_mount_point_is_made_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "data/link").symlink_to(tmp_path / "other")
    container = Container("main", "x", mounts=(Mount("it", "/it"), Mount("own", "/it/link/new")))
    workload = Workload("u", "n", "ns", (container,), volumes=(HostPathVolume("it", f"{tmp_path}/data"), EmptyDirVolume("own")))
    volumes = Volumes(workload, RunnerConfig(host_path_allow=(f"{tmp_path}/data",)), tmp_path / "job")
    await volumes.prepare()
    with pytest.raises(StartError, match="a link leads out of it"):
        volumes.binds(container)
    assert list((tmp_path / "other").iterdir()) == []


async def test_an_export_and_what_is_below_it(tmp_path: Path) -> None:
    (tmp_path / "export/deep/er").mkdir(parents=True)
    (tmp_path / "export/out").symlink_to("/etc")
    (tmp_path / "export/deep/up").symlink_to("..")
    nfs = {"srv.example:/export": f"{tmp_path}/export:ro"}

    async def at(path: str, sub_path: str = "") -> Bind:
        return await bound(tmp_path, ExternalVolume("it", "nfs", f"srv.example:/export{path}"), sub_path=sub_path, nfs=nfs)

    assert await at("") == Bind(f"{tmp_path}/export", "/it", True)
    assert await at("/deep") == Bind(f"{tmp_path}/export/deep", "/it", True)
    assert await at("/deep", "er") == Bind(f"{tmp_path}/export/deep/er", "/it", True)
    for path, sub_path, words in (
        ("/out", "", "leads out of"),
        ("/out/ssl", "", "leads out of"),
        ("/none", "", "is not there on the node"),
        ("/deep", "up", "leads out of its volume"),
        ("ed", "", "is not mapped on this site"),
    ):
        with pytest.raises(StartError, match=words):
            await at(path, sub_path)


async def test_a_link_in_a_repository_does_not_lead_out_of_cvmfs(tmp_path: Path) -> None:
    (tmp_path / "real/atlas.example/data").mkdir(parents=True)
    (tmp_path / "cvmfs").symlink_to("real")
    (tmp_path / "real/atlas.example/out").symlink_to("/etc")
    options = CvmfsOptions(str(tmp_path / "cvmfs"))
    inner = CvmfsVolume("it", ("atlas.example",), "atlas.example/data")
    assert await bound(tmp_path, inner, cvmfs=options) == Bind(f"{tmp_path}/real/atlas.example/data", "/it", True)
    for sub_path, words in (("out", "leads out of"), ("none", "is not there")):
        with pytest.raises(StartError, match=words):
            await bound(tmp_path, CvmfsVolume("it", ("atlas.example",), f"atlas.example/{sub_path}"), cvmfs=options)


def test_cvmfsexec_mounts_what_volumes_and_images_need(tmp_path: Path) -> None:
    config = RunnerConfig(images={"registry.example": f"{tmp_path}/unpacked.example/r"}, cvmfs=CvmfsOptions(str(tmp_path), 1.0, "/exec"))
    volumes = (CvmfsVolume("v", ("atlas.example",)),)
    from_image = Workload("u", "n", "ns", (Container("main", "registry.example/x:1"),))
    assert wrapping(from_image, config, tmp_path) == ("/exec", "unpacked.example", "--")
    assert wrapping(replace(from_image, volumes=volumes), config, tmp_path) == ("/exec", "atlas.example", "unpacked.example", "--")
    assert wrapping(Workload("u", "n", "ns", (Container("main", "other.example/x"),)), config, tmp_path) == ()
    (tmp_path / "unpacked.example").mkdir()
    assert wrapping(from_image, config, tmp_path) == ()


def test_a_tree_is_removed_whatever_its_modes_and_links_are(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    outside.chmod(0o751)
    (tmp_path / "tree/closed/deep").mkdir(parents=True)
    (tmp_path / "tree/link").symlink_to(outside)
    (tmp_path / "tree/closed/deep").chmod(0)
    (tmp_path / "tree/closed").chmod(0)
    remove_tree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert (outside / "kept").is_dir()
    assert outside.stat().st_mode & 0o777 == 0o751
