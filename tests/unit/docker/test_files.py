"""A pod's files on disk: modes, and no way out of a volume."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pytest

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import File
from interlink_docker import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_have_their_modes_below_a_private_directory(tmp_path: Path) -> None:
    volume = tmp_path / "pod" / "volumes" / "v"
    files.write_files(volume, (File("a", 0o400, b"A"), File("d/e/b", 0o755, b"\xff\x00")), None)
    assert {str(p.relative_to(volume)): (mode(p), p.read_bytes() if p.is_file() else None) for p in volume.rglob("*")} == {
        "a": (0o400, b"A"),
        "d": (0o755, None),
        "d/e": (0o755, None),
        "d/e/b": (0o755, b"\xff\x00"),
    }
    assert mode(tmp_path / "pod" / "volumes") == 0o700
    assert [path.name for path in volume.parent.iterdir()] == ["v"]


@pytest.mark.skipif(os.geteuid() != 0, reason="fsGroup needs root")
def test_fs_group_may_read(tmp_path: Path) -> None:
    volume = tmp_path / "v"
    files.write_files(volume, (File("d/a", 0o400, b""),), 4321)
    found = {path: (path.stat().st_gid, mode(path)) for path in (volume, volume / "d", volume / "d/a")}
    assert found == {volume: (4321, 0o2755), volume / "d": (4321, 0o2755), volume / "d/a": (4321, 0o440)}


def test_written_once(tmp_path: Path) -> None:
    files.write_files(tmp_path / "v", (File("a", 0o644, b"first"),), None)
    files.write_files(tmp_path / "v", (File("a", 0o644, b"second"),), None)
    assert (tmp_path / "v" / "a").read_bytes() == b"first"


def test_half_written_is_written_again(tmp_path: Path) -> None:
    (tmp_path / ".v.building").mkdir()
    (tmp_path / ".v.building" / "junk").touch()
    files.write_files(tmp_path / "v", (File("a", 0o644, b""),), None)
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["a"]


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out"])
def test_a_file_that_leaves_its_volume(tmp_path: Path, path: str) -> None:
    with pytest.raises(StartError, match="leaves the volume"):
        files.write_files(tmp_path / "volumes" / "v", (File(path, 0o644, b""),), None)
    assert not (tmp_path / "out").exists()


def test_empty_directory_is_everybodys(tmp_path: Path) -> None:
    files.empty_directory(tmp_path / "pod" / "v", None)
    assert mode(tmp_path / "pod" / "v") == 0o777


def test_the_end_of_a_message(tmp_path: Path) -> None:
    path = tmp_path / "termination" / "main.0"
    files.termination_file(path)
    assert mode(path) == 0o666
    path.write_bytes(b"x" * 5000 + b"end\xff")
    assert files.read_message(path) == "x" * 4092 + "end\ufffd"
    assert files.read_message(tmp_path / "none") == ""


def nested(directory: Path, depth: int) -> None:
    """Directories in directories, deeper than a path can say, as a pod makes them with `mkdir x; cd x`."""
    directory.mkdir(parents=True)
    current = os.open(directory, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("x", dir_fd=current)
        (Path(f"/proc/self/fd/{current}") / "file").write_bytes(b"x" * 4096)
        following = os.open("x", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = following
    os.close(current)


def test_a_tree_of_any_depth_is_measured_and_removed(tmp_path: Path) -> None:
    nested(tmp_path / "pod" / "v", 3000)
    assert files.used_bytes(tmp_path / "pod" / "v") >= 1000 * 4096
    files.remove_tree(tmp_path / "pod")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_directories_of_any_depth(tmp_path: Path) -> None:
    path = "d/" * 1500 + "file"
    files.write_files(tmp_path / "v", (File(path, 0o644, b"deep"),), None)
    assert (tmp_path / "v" / path).read_bytes() == b"deep"
    files.remove_tree(tmp_path / "v")


def test_usage_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "data").write_bytes(b"x" * 100_000)
    (tmp_path / "big").write_bytes(b"x" * 10_000_000)
    (tmp_path / "v" / "link").symlink_to(tmp_path / "big")
    assert 100_000 <= files.used_bytes(tmp_path / "v") < 200_000


def test_removal_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "pod" / "volumes").mkdir(parents=True)
    (tmp_path / "pod" / "volumes" / "link").symlink_to(tmp_path / "precious")
    files.remove_tree(tmp_path / "pod")
    files.remove_tree(tmp_path / "pod")
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_mounts_with_any_bytes_in_their_names_are_found_and_unmounted(tmp_path: Path) -> None:
    """One outside of the pod too: somebody's medium must not keep a pod from being removed."""
    names = ["日本", "a b", "back\\slash", "\\134", "tab\tline\n", "\udcff"]
    points = [tmp_path / "media" / "日本 \\", *(tmp_path / "pod" / name for name in names)]
    for point in points:
        point.mkdir(parents=True)
        files.mount_tmpfs(point)
    try:
        assert sorted(files.mount_points_below(tmp_path)) == sorted(map(str, points))
        files.remove_tree(tmp_path / "pod")
        assert files.mount_points_below(tmp_path) == [str(points[0])]
        assert [path.name for path in tmp_path.iterdir()] == ["media"]
    finally:
        for point in points:
            with contextlib.suppress(OSError):
                files.unmount_tree(point)
