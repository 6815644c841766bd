"""The progress of a pull in words, from the engine's own documents."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from interlink_common.errors import ConfigurationError
from interlink_common.model.workload import RegistryCredential
from interlink_docker.images import Progress, auth_header, credentials_of_config, parse, read_credentials, reference
from interlink_docker.settings import ImageSettings

DIGEST = "sha256:" + "a" * 64
MIB = 1024 * 1024


def test_progress_in_words() -> None:
    progress = Progress()
    assert progress.summary() == ""
    documents: list[dict[str, Any]] = [
        {"status": "Pulling from library/busybox", "id": "1.36"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "a"},
        {"status": "Already exists", "progressDetail": {}, "id": "b"},
        {"status": "Downloading", "progressDetail": {"current": 3 * MIB, "total": 10 * MIB}, "id": "a"},
    ]
    for document in documents:
        progress.update(document)
    assert progress.summary() == "1 of 2 layers, 3 of 10 MiB"
    progress.update({"status": "Pull complete", "progressDetail": {}, "id": "a"})
    progress.update({"status": "Digest: sha256:1"})
    assert progress.summary() == "2 of 2 layers, 10 of 10 MiB"


def test_auth_header() -> None:
    header = auth_header(RegistryCredential("registry.example.org", "user", "päss~?>"))
    assert json.loads(base64.urlsafe_b64decode(header)) == {
        "username": "user",
        "password": "päss~?>",
        "serveraddress": "registry.example.org",
    }


def test_a_broken_credentials_file_is_named_and_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"auths": {"r": {"auth": "c2VjcmV0"}')
    with pytest.raises(ConfigurationError, match=r"images\.credentials_file") as broken:
        read_credentials(path)
    assert "c2VjcmV0" not in str(broken.value)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_credentials(tmp_path / "none")


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("docker://busybox:1.36", "docker.io/library/busybox:1.36"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/team/app:v1", "docker.io/team/app:v1"),
        ("index.docker.io/app", "docker.io/library/app:latest"),
        ("registry-1.docker.io/team/app", "docker.io/team/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("registry.example.org:5000/a/b/c:2", "registry.example.org:5000/a/b/c:2"),
        (f"quay.io/org/app@{DIGEST}", f"quay.io/org/app@{DIGEST}"),
        (f"quay.io/org/app:v1@{DIGEST}", f"quay.io/org/app@{DIGEST}"),
    ],
)
def test_parse(image: str, full: str) -> None:
    assert str(parse(image)) == full


@pytest.mark.parametrize(
    "image", ["", "UPPER", "UPPER/case", "a b", "a:b:c", "-x", "a//b", "a@sha256:12", "http://x/y", "a:" + "t" * 129, "../x", "é"]
)
def test_not_an_image(image: str) -> None:
    with pytest.raises(ValueError, match="not the name of an image"):
        parse(image)


@pytest.mark.parametrize(
    ("image", "mirrors", "expected"),
    [
        ("busybox:1", {}, "docker.io/library/busybox:1"),
        ("busybox:1", {"docker.io": "mirror.example.org/hub"}, "mirror.example.org/hub/library/busybox:1"),
        ("busybox", {"docker.io/library/busybox": "m1.example/bb"}, "m1.example/bb:latest"),
        ("busybox:1", {"busybox": "team/bb"}, "docker.io/team/bb:1"),
    ],
)
def test_the_operators_map(image: str, mirrors: dict[str, str], expected: str) -> None:
    assert str(reference(image, ImageSettings(mirrors=mirrors))) == expected


def test_a_path_is_no_mirror() -> None:
    with pytest.raises(ValidationError, match="busybox must map to a name, not to a path"):
        ImageSettings(mirrors={"busybox": "/images/busybox"})


def test_docker_config() -> None:
    document = {
        "auths": {
            "a": {"auth": base64.b64encode(b"user:pa:ss").decode()},
            "b": {"username": "u", "password": "p"},
            "c": {},
        }
    }
    assert credentials_of_config(document) == (RegistryCredential("a", "user", "pa:ss"), RegistryCredential("b", "u", "p"))


@pytest.mark.parametrize("document", [[], {"auths": []}, {"auths": {"a": {"auth": "?"}}}])
def test_bad_docker_config(document: object) -> None:
    with pytest.raises(ValueError, match="auths"):
        credentials_of_config(document)
