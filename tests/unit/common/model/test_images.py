"""Names of images, what the site has in their place, and logins."""

from __future__ import annotations

import pytest

from interlink_common.model.images import cvmfs_repositories, in_directories, location, logins, mapped, require_images
from interlink_common.model.workload import Container, CvmfsVolume, RegistryCredential, Volume, Workload

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("name", "images", "expected"),
    [
        ("busybox:1", {}, None),
        ("busybox:1", {"busybox": "/b.sif"}, "/b.sif"),
        (f"docker://busybox@{DIGEST}", {"docker.io/library/busybox": "/b.sif"}, "/b.sif"),
        ("docker.io/library/busybox", {"busybox": "/b.sif"}, "/b.sif"),
        ("busybox", {"library/busybox": "/b.sif"}, "/b.sif"),
        ("busybox:1", {"busybox:1": "/one.sif", "busybox": "/b.sif"}, "/one.sif"),
        ("busybox", {"busybox:latest": "/latest.sif"}, "/latest.sif"),
        ("busybox:2", {"busybox:1": "/one.sif"}, None),
        ("busybox:1", {"busybox": "mirror.example/bb"}, "mirror.example/bb:1"),
        (f"busybox@{DIGEST}", {"busybox": "mirror.example/bb"}, f"mirror.example/bb@{DIGEST}"),
        ("busybox:1", {"busybox": "mirror.example/bb:7"}, "mirror.example/bb:7"),
        ("busybox:1", {"docker.io": "mirror.example:5000/hub/"}, "mirror.example:5000/hub/library/busybox:1"),
        ("busybox:1", {"index.docker.io/": "mirror.example"}, "mirror.example/library/busybox:1"),
        ("busybox:1", {"docker.io": "m1.example", "docker.io/library": "m2.example:5000"}, "m2.example:5000/busybox:1"),
        ("busybox:1", {"docker.io/lib": "m1.example"}, None),
        ("team/app:1", {"team": "/images"}, "/images/app:1"),
        ("REG.example/team/app", {"reg.example/team": "/images"}, "/images/app"),
        ("reg.example/team/app", {"REG.example": "/images"}, "/images/team/app"),
        ("reg.example/teams/app", {"reg.example/team": "/images"}, None),
        ("reg.example/team/../../etc", {"reg.example/team": "/images"}, None),
        ("oras://reg.example/app:1", {"oras://reg.example": "/oras"}, "/oras/app:1"),
        ("oras://reg.example/app:1", {"reg.example": "/images"}, None),
        ("/srv/image", {"/srv": "/other"}, "/other/image"),
    ],
)
def test_what_the_site_has_instead(name: str, images: dict[str, str], expected: str | None) -> None:
    assert mapped(name, images) == expected
    assert mapped(name, dict(reversed(images.items()))) == expected


@pytest.mark.parametrize(
    ("images", "words"),
    [({"": "/x"}, "a name must be"), ({"a": ""}, "a must be"), ({"a": "/x/../y"}, "two dots"), ({"a/": "/x", "docker://a": "/y"}, "same")],
)
def test_image_maps_that_can_not_be_meant(images: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        require_images(images)


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("/images/x", True),
        ("//images//x/y", True),
        ("/images", False),
        ("/images/", False),
        ("/imagesx/y", False),
        ("/images/../etc", False),
        ("/images/x/../y", False),
        ("/etc/x", False),
    ],
)
def test_images_by_path(path: str, fits: bool) -> None:
    assert in_directories(path, ["/images/"]) is fits


@pytest.mark.parametrize(
    ("image", "volumes", "repositories"),
    [
        ("busybox", (), ()),
        ("busybox", (CvmfsVolume("v"), CvmfsVolume("w", ("a.example", "b.example"))), ("a.example", "b.example")),
        ("/cvmfs/unpacked.cern.ch/x", (), ("unpacked.cern.ch",)),
        ("registry.example/team/x:1", (CvmfsVolume("w", ("a.example",)),), ("a.example", "images.example")),
        ("registry.example/other", (), ()),
    ],
)
def test_repositories_that_a_pod_needs(image: str, volumes: tuple[Volume, ...], repositories: tuple[str, ...]) -> None:
    workload = Workload("u", "n", "ns", (Container("main", image),), volumes=volumes)
    assert cvmfs_repositories(workload, {"registry.example/team": "/cvmfs/images.example/team"}) == repositories


def login(server: str) -> RegistryCredential:
    return RegistryCredential(server, "u", server)


@pytest.mark.parametrize(
    ("image", "servers"),
    [
        ("registry.example.org/team/app", ["registry.example.org/team", "registry.example.org", "*.example.org/team/app", "*.example.org"]),
        ("Registry.Example.org/team/app", ["registry.example.org/team", "registry.example.org", "*.example.org/team/app", "*.example.org"]),
        ("registry.example.org/teams/app", ["registry.example.org", "*.example.org"]),
        ("r7.example.org/x", ["*.example.org", "r?.example.org"]),
        ("a.registry.example.org/x", []),
        ("registry.example.org:5000/x", ["REGISTRY.example.org:5000"]),
        ("busybox", ["https://index.docker.io/v1/"]),
        ("docker.io/team/app", ["docker.io/team", "https://index.docker.io/v1/"]),
    ],
)
def test_logins(image: str, servers: list[str]) -> None:
    known = ["https://index.docker.io/v1/", "registry.example.org", "registry.example.org/team", "*.example.org", "*.example.org/team/app",
             "docker.io/team", "REGISTRY.example.org:5000", "r?.example.org", "example.org"]  # fmt: skip
    found = [credential.server for credential in logins(map(login, known), *location(image))]
    assert found == servers
