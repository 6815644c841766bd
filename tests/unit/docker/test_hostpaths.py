"""hostPath volumes: what the operator allows, and no way to swap what was checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from interlink_common.agent.runtime import StartError
from interlink_common.model import site
from interlink_docker import hostpaths


def found(path: Path, kind: str, allowed: Mapping[Path, bool]) -> tuple[Path, bool]:
    """Where the volume is now, and whether it is read-only."""
    with hostpaths.opened(str(path), kind, [f"{directory}{':ro' * closed}" for directory, closed in allowed.items()]) as (
        descriptor,
        read_only,
    ):
        return Path(f"/proc/self/fd/{descriptor}").readlink(), read_only


@pytest.mark.parametrize(
    ("kind", "make", "fine"),
    [
        ("", "directory", True),
        ("Directory", "directory", True),
        ("Directory", "file", False),
        ("File", "file", True),
        ("File", "directory", False),
        ("Socket", "file", False),
        ("Directory", "", False),
        ("", "", False),
        ("DirectoryOrCreate", "", True),
        ("FileOrCreate", "", True),
    ],
)
def test_host_path_types(tmp_path: Path, kind: str, make: str, fine: bool) -> None:
    path = tmp_path / "x"
    if make == "directory":
        path.mkdir()
    elif make == "file":
        path.touch()
    if fine:
        assert found(path, kind, {tmp_path: False}) == (path, False)
        assert path.exists()
        return
    with pytest.raises(StartError):
        found(path, kind, {tmp_path: False})


def test_host_path_through_a_link_out(tmp_path: Path) -> None:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "link").symlink_to("/etc")
    with pytest.raises(StartError, match="host_path_allow"):
        found(tmp_path / "allowed" / "link" / "ssl", "DirectoryOrCreate", {tmp_path / "allowed": False})


def test_host_path_through_a_link_to_what_is_read_only(tmp_path: Path) -> None:
    allowed = {tmp_path / "scratch": False, tmp_path / "reference": True}
    for directory in allowed:
        directory.mkdir()
    (tmp_path / "scratch" / "link").symlink_to(tmp_path / "reference")
    assert found(tmp_path / "scratch" / "link", "", allowed) == (tmp_path / "reference", True)


@pytest.mark.parametrize("kind", ["DirectoryOrCreate", "FileOrCreate"])
def test_nothing_is_made_in_what_is_read_only(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StartError, match="No such file"):
        found(tmp_path / "new", kind, {tmp_path: True})
    assert list(tmp_path.iterdir()) == []


def test_the_innermost_rule_counts(tmp_path: Path) -> None:
    for inner in ("data/reference", "data/reference/scratch"):
        (tmp_path / inner).mkdir(parents=True)
    allowed = {tmp_path / "data": False, tmp_path / "data/reference": True, tmp_path / "data/reference/scratch": False}
    ways = ["data", "data/reference", "data/reference/scratch"]
    assert [found(tmp_path / way, "Directory", allowed)[1] for way in ways] == [False, True, False]


def test_an_allowed_directory_below_a_writable_one_is_not_what_a_pod_makes_of_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "inner").symlink_to("/etc")
    with pytest.raises(StartError, match="host_path_allow"):
        found(tmp_path / "data" / "inner", "", {tmp_path / "data": False, tmp_path / "data" / "inner": True})


@pytest.mark.parametrize("kind", ["", "DirectoryOrCreate", "FileOrCreate"])
@pytest.mark.parametrize("path", ["data/x", "data/x/new"])
def test_a_link_put_there_after_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, path: str) -> None:
    (tmp_path / "data" / "x").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    check = site.holding

    def swap(real: str, rules: Mapping[str, bool]) -> list[str]:
        if not (tmp_path / "data" / "x").is_symlink():
            (tmp_path / "data" / "x").rename(tmp_path / "data" / "y")
            (tmp_path / "data" / "x").symlink_to(tmp_path / "outside")
        return check(real, rules)

    monkeypatch.setattr(site, "holding", swap)
    with pytest.raises(StartError, match="host_path_allow"):
        found(tmp_path / path, kind, {tmp_path / "data": False})
    assert list((tmp_path / "outside").iterdir()) == []


def test_what_is_open_stays_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "data" / "x").mkdir(parents=True)
    (tmp_path / "data" / "x" / "mine").touch()
    with hostpaths.opened(str(tmp_path / "data" / "x"), "Directory", [str(tmp_path / "data")]) as (descriptor, _):
        (tmp_path / "data" / "x").rename(tmp_path / "data" / "y")
        (tmp_path / "data" / "x").symlink_to("/etc")
        assert [path.name for path in Path(f"/proc/self/fd/{descriptor}").iterdir()] == ["mine"]
