"""Sub-paths of volumes that a pod can write: no link leads out, neither one that lies there nor one that is put there meanwhile."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink_common.agent.runtime import StartError
from interlink_docker import files, subpaths

MS_SHARED = 1 << 20


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Path]:
    """A pod's directory; its pins are mounts, which only the removal of the pod takes away."""
    directory = tmp_path / "pod"
    yield directory
    files.remove_tree(directory)
    assert not directory.exists()


def test_made_like_its_volume(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    files.empty_directory(volume, None)
    assert subpaths.resolve(volume, "a/b", create=True) == volume / "a" / "b"
    assert mode(volume / "a" / "b") == 0o777


@pytest.mark.parametrize("target", ["/etc", "../..", "/"])
@pytest.mark.parametrize("sub_path", ["link", "link/passwd", "link/new/deep"])
def test_through_a_link_out(tmp_path: Path, target: str, sub_path: str) -> None:
    volume = tmp_path / "v"
    volume.mkdir()
    (volume / "link").symlink_to(target)
    with pytest.raises(StartError, match="leaves its volume"):
        subpaths.resolve(volume, sub_path, create=True)


def test_through_a_link_inside(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    (volume / "real").mkdir(parents=True)
    (volume / "link").symlink_to("real")
    assert subpaths.resolve(volume, "link/x", create=True) == volume / "real" / "x"
    with pytest.raises(StartError, match="does not exist"):
        subpaths.resolve(volume, "none", create=False)


def test_a_chain_of_links(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"link{number}").symlink_to(f"link{number + 1}")
    with pytest.raises(StartError, match="subPath link0"):
        subpaths.resolve(tmp_path, "link0", create=True)


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StartError, match="subPath a"):
        subpaths.resolve(tmp_path, "a/x", create=True)


def test_a_link_put_in_the_place_of_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, outside = tmp_path / "v", tmp_path / "outside"
    files.empty_directory(volume, None)
    outside.mkdir(mode=0o700)
    make = os.mkdir

    def make_then_swap(name: str, *, dir_fd: int) -> None:
        make(name, dir_fd=dir_fd)
        (volume / name).rmdir()
        (volume / name).symlink_to(outside)

    monkeypatch.setattr(os, "mkdir", make_then_swap)
    with pytest.raises(StartError, match="cannot be reached"):
        subpaths.open_below(volume, "a/b", create=True)
    assert (mode(outside), list(outside.iterdir())) == (0o700, [])


def test_a_link_that_only_the_kernel_can_follow(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("/proc/self/root")
    with pytest.raises(StartError, match="leaves its volume"):
        subpaths.open_below(tmp_path, "loop", create=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_a_pin_stays_where_it_was_put(tmp_path: Path, pod: Path) -> None:
    volume, outside = tmp_path / "v", tmp_path / "outside"
    (volume / "a").mkdir(parents=True)
    (volume / "a" / "mine").touch()
    outside.mkdir()
    pin = subpaths.bind_mounted(volume, "a", pod, "main.0", create=True)
    (volume / "a").rename(volume / "b")
    (volume / "a").symlink_to(outside)
    assert [path.name for path in pin.iterdir()] == ["mine"]
    with pytest.raises(StartError, match="leaves its volume"):
        subpaths.bind_mounted(volume, "a", pod, "main.0", create=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_a_pin_is_renewed_and_may_be_a_file(tmp_path: Path, pod: Path) -> None:
    volume = tmp_path / "v"
    (volume / "a").mkdir(parents=True)
    assert subpaths.bind_mounted(volume, "a", pod, "main.0", create=True).is_dir()
    (volume / "a").rmdir()
    (volume / "a").write_text("a file now")
    assert subpaths.bind_mounted(volume, "a", pod, "main.0", create=True).read_text() == "a file now"
    files.remove_tree(pod)
    assert (volume / "a").read_text() == "a file now"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
@pytest.mark.parametrize("shared", [False, True])
def test_what_is_mounted_on_the_host_is_in_the_pin_and_outlives_it(tmp_path: Path, pod: Path, shared: bool) -> None:
    """A removal that follows shared mounts would unmount the host's own."""
    volume = tmp_path / "v"
    volume.mkdir()
    files.mount_tmpfs(volume)
    try:
        files.mount("", volume, "", MS_SHARED)
        for name in ("before", "later"):
            (volume / "a" / name).mkdir(parents=True)
        files.mount_tmpfs(volume / "a" / "before")
        (volume / "a" / "before" / "file").touch()
        pin = subpaths.bind_mounted(volume, "a", pod, "main.0", create=False, shared=shared)
        files.mount_tmpfs(volume / "a" / "later")
        (volume / "a" / "later" / "file").touch()
        assert sorted(str(path.relative_to(pin)) for path in pin.rglob("file")) == ["before/file", "later/file"]
        subpaths.bind_mounted(volume, "a", pod, "main.0", create=False, shared=shared)
        files.remove_tree(pod)
        assert files.mount_points_below(volume) == [str(path) for path in (volume, volume / "a" / "later", volume / "a" / "before")]
    finally:
        files.unmount_tree(volume)
