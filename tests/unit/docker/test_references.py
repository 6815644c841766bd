"""Names of images, mirrors and logins."""

from __future__ import annotations

import base64

import pytest

from interlink_common.model.workload import RegistryCredential
from interlink_docker.references import Reference, credentials_of_config, matching, mirrored, parse

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36"),
        ("docker://busybox:1.36", "docker.io/library/busybox:1.36"),
        ("team/app", "docker.io/team/app:latest"),
        ("docker.io/team/app:v1", "docker.io/team/app:v1"),
        ("index.docker.io/app", "docker.io/library/app:latest"),
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
    ("mirrors", "expected"),
    [
        ({}, "docker.io/library/busybox:1"),
        ({"docker.io": "mirror.example.org/hub"}, "mirror.example.org/hub/library/busybox:1"),
        ({"docker.io": "m1", "docker.io/library": "m2:5000"}, "m2:5000/busybox:1"),
        ({"docker.io/lib": "m1"}, "docker.io/library/busybox:1"),
        ({"docker.io/library/busybox": "m1/bb"}, "m1/bb:1"),
    ],
)
def test_mirrors(mirrors: dict[str, str], expected: str) -> None:
    assert str(mirrored(parse("busybox:1"), mirrors)) == expected


def login(server: str) -> RegistryCredential:
    return RegistryCredential(server, "u", server)


def test_the_most_specific_login_comes_first() -> None:
    servers = ["https://index.docker.io/v1/", "registry.example.org/team", "*.example.org", "registry.example.org/teams", "example.org"]
    found = matching(map(login, servers), Reference("registry.example.org", "team/app", "v1"))
    assert [credential.server for credential in found] == ["registry.example.org/team", "*.example.org"]
    assert matching(map(login, servers), parse("busybox")) == [login("https://index.docker.io/v1/")]


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
