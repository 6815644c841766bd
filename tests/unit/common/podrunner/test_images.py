"""What an image's name means on a worker node, which login fits, and what an image's own entrypoint is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import RegistryCredential
from interlink_common.podrunner.apptainer import entry_of
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.images import Image, attempts, resolve

DIGEST = "sha256:" + "0123456789abcdef" * 4
SITES = RunnerConfig(
    images={
        "busybox": "/cvmfs/site/busybox.sif",
        "python:3.11": "docker://mirror.example:5000/python:3.11",
        "registry.example/team": "/cvmfs/unpacked.cern.ch/registry.example/team",
        "docker.example": "mirror.example:5000/hub",
    }
)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("alpine", "docker://alpine"),
        ("docker://alpine:3", "docker://alpine:3"),
        ("localhost:5000/x", "docker://localhost:5000/x"),
        (f"registry.io:5000/a/b@{DIGEST}", f"docker://registry.io:5000/a/b@{DIGEST}"),
        (f"a/b:tag@{DIGEST}", f"docker://a/b:tag@{DIGEST}"),
        ("oras://registry.io/x:1", "oras://registry.io/x:1"),
        ("library://user/box/image:1", "library://user/box/image:1"),
        ("busybox", "/cvmfs/site/busybox.sif"),
        ("busybox:1.36", "/cvmfs/site/busybox.sif"),
        (f"docker://busybox@{DIGEST}", "/cvmfs/site/busybox.sif"),
        ("python:3.11", "docker://mirror.example:5000/python:3.11"),
        ("python:3.12", "docker://python:3.12"),
        ("registry.example/team/x:1", "/cvmfs/unpacked.cern.ch/registry.example/team/x:1"),
        ("registry.example/teams/x:1", "docker://registry.example/teams/x:1"),
        ("docker.example/a/b:2", "docker://mirror.example:5000/hub/a/b:2"),
    ],
)
def test_names(name: str, source: str) -> None:
    assert resolve(name, SITES) == Image(source)


@pytest.mark.parametrize(
    "name",
    ["", "a b", "--help", "-v/etc", "http://x/y", "shub://x", "instance://x", "./x.sif", "x\ny", "docker://", "docker://-x", "oras://a b",
     "/etc", "/cvmfs/unpacked.cern.ch", "/cvmfs/unpacked.cern.ch/../../etc", "registry.example/team/../../../etc"],
)  # fmt: skip
def test_what_is_no_image(name: str) -> None:
    with pytest.raises(StartError) as refusal:
        resolve(name, SITES)
    assert refusal.value.reason == "InvalidImageName"


def test_what_another_tool_takes_for_a_transport_is_a_name_that_no_registry_has() -> None:
    assert resolve("docker-archive:/etc/x", SITES).source == "docker://docker-archive:/etc/x"


def test_a_link_out_of_the_allowed_directories_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf/ok.sif").touch()
    (tmp_path / "shelf/link").symlink_to("/etc")
    rules = RunnerConfig(image_directories=(str(tmp_path / "shelf"),))
    assert resolve(str(tmp_path / "shelf/ok.sif"), rules).is_local
    with pytest.raises(StartError, match="allows images by path below"):
        resolve(str(tmp_path / "shelf/link"), rules)


@pytest.mark.parametrize(
    ("source", "users"),
    [
        ("docker://registry.example:5000/a/b:1", ["five"]),
        ("docker://registry.example/team/b", ["plain", "any"]),
        ("docker://registry.example/a/b", ["any"]),
        ("docker://Registry.example/a/b:1", ["any"]),
        ("docker://alpine", ["hub"]),
        ("docker://docker.io/library/alpine", ["hub"]),
        ("docker://other.org/a", [None]),
        ("oras://registry.example/a", [None]),
    ],
)
def test_logins(source: str, users: list[str | None]) -> None:
    credentials = (
        RegistryCredential("https://index.docker.io/v1/", "hub", ""),
        RegistryCredential("registry.example:5000", "five", ""),
        RegistryCredential("*.example", "any", ""),
        RegistryCredential("registry.example/team", "plain", ""),
    )
    assert [login and login.username for login in attempts(Image(source), credentials)] == users
    assert attempts(Image(source), ()) == (None,)


def runscript(entrypoint: list[str], command: list[str]) -> str:
    """As apptainer's build/sources/conveyorPacker_oci.go writes it."""

    def quoted(words: list[str]) -> str:
        inner = " ".join('"' + "".join(f"\\{c}" if c in '"$`\\' else c for c in word) + '"' for word in words)
        return "'" + inner.replace("'", "'\"'\"'") + "'" if words else "''"

    return f"#!/bin/sh\nOCI_ENTRYPOINT={quoted(entrypoint)}\nOCI_CMD={quoted(command)}\n\n# When ...\n"


words = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), max_size=3)


@given(words, words)
def test_entrypoint_and_cmd_of_a_runscript(entrypoint: list[str], command: list[str]) -> None:
    assert entry_of(runscript(entrypoint, command)) == (tuple(entrypoint), tuple(command))


@pytest.mark.parametrize("text", ["", "#!/bin/sh\nexec /bin/bash\n", "#!/bin/sh\nOCI_CMD='\"x\"'\n"])
def test_another_runscript(text: str) -> None:
    assert entry_of(text) is None
