from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interlink_common.errors import BadRequest
from interlink_common.model.workload import CvmfsVolume, EmptyDirVolume, FilesVolume, HostPathVolume, Mount, Volume, Workload

Translated = Callable[..., Workload]

ATLAS = CvmfsVolume("v", ("atlas.cern.ch",), "atlas.cern.ch")


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("cvmfs", {}, CvmfsVolume("cvmfs")),
        ("public-cvmfs", {"emptyDir": {}}, CvmfsVolume("public-cvmfs")),
        ("cvmfs", {"persistentVolumeClaim": {"claimName": "any"}}, CvmfsVolume("cvmfs")),
        ("v", {"persistentVolumeClaim": {"claimName": "cvmfs-claim"}}, CvmfsVolume("v")),
        ("v", {"hostPath": {"path": "/cvmfs"}}, CvmfsVolume("v")),
        ("v", {"hostPath": {"path": "/cvmfs/atlas.cern.ch/"}}, ATLAS),
        ("v", {"hostPath": {"path": "/cvmfs/atlas.cern.ch/repo/sw"}}, CvmfsVolume("v", ("atlas.cern.ch",), "atlas.cern.ch/repo/sw")),
        ("v", {"csi": {"driver": "cvmfs.csi.cern.ch"}}, CvmfsVolume("v")),
        ("v", {"csi": {"driver": "cvmfs.csi.cern.ch", "volumeAttributes": {"repository": "atlas.cern.ch"}}}, ATLAS),
        ("annotated", {"emptyDir": {}}, CvmfsVolume("annotated")),
        ("v", {"emptyDir": {}}, EmptyDirVolume("v")),
        ("v", {"hostPath": {"path": "/cvmfs2"}}, HostPathVolume("v", "/cvmfs2")),
        ("cvmfs", {"hostPath": {"path": "/srv/cvmfs"}}, HostPathVolume("cvmfs", "/srv/cvmfs")),
        ("cvmfs", {"secret": {"secretName": "s"}}, FilesVolume("cvmfs", secret=True)),
    ],
)
def test_volumes_that_mean_cvmfs(translated: Translated, name: str, source: dict[str, Any], expected: Volume) -> None:
    workload = translated(spec={"volumes": [{"name": name, **source}]}, metadata={"annotations": {"cvmfs.vk.io/annotated": ""}})
    assert workload.volumes == (expected,)


IMPLIED = Mount("interlink-cvmfs", "/cvmfs", read_only=True)
UNPACKED_IMAGE = "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/library/busybox:1"


def with_annotation(value: str) -> dict[str, Any]:
    return {"annotations": {"cvmfs.interlink.eu/repositories": value}}


def test_annotated_repositories_are_mounted_in_every_container_that_has_none(translated: Translated) -> None:
    workload = translated(
        spec={
            "initContainers": [{"name": "i", "image": "x"}],
            "containers": [
                {"name": "c", "image": "x"},
                {"name": "own", "image": "x", "volumeMounts": [{"name": "mine", "mountPath": "/cvmfs/sft.cern.ch"}]},
            ],
            "volumes": [{"name": "mine", "hostPath": {"path": "/cvmfs/sft.cern.ch"}}],
        },
        metadata=with_annotation(" atlas.cern.ch,sft.cern.ch ,, atlas.cern.ch"),
    )
    assert workload.volume("interlink-cvmfs") == CvmfsVolume("interlink-cvmfs", ("atlas.cern.ch", "sft.cern.ch"))
    assert {c.name: c.mounts for c in workload.all_containers} == {
        "i": (IMPLIED,),
        "c": (IMPLIED,),
        "own": (Mount("mine", "/cvmfs/sft.cern.ch", read_only=True),),
    }


def test_an_unpacked_image_implies_the_mount_for_its_container(translated: Translated) -> None:
    workload = translated(spec={"containers": [{"name": "c", "image": UNPACKED_IMAGE}, {"name": "d", "image": "x"}]})
    assert workload.volumes == (CvmfsVolume("interlink-cvmfs", ("unpacked.cern.ch",)),)
    assert [c.mounts for c in workload.containers] == [(IMPLIED,), ()]


def test_annotation_and_unpacked_image_share_one_volume_with_a_free_name(translated: Translated) -> None:
    workload = translated(
        {"image": UNPACKED_IMAGE}, spec={"volumes": [{"name": "interlink-cvmfs"}]}, metadata=with_annotation("atlas.cern.ch")
    )
    assert workload.volumes == (
        EmptyDirVolume("interlink-cvmfs"),
        CvmfsVolume("interlink-cvmfs-1", ("atlas.cern.ch", "unpacked.cern.ch")),
    )
    assert workload.containers[0].mounts == (Mount("interlink-cvmfs-1", "/cvmfs", read_only=True),)


@pytest.mark.parametrize("repository", ["../etc", "a b", "a;b", "a..b", "é.ch", "-x", "x/y", "x" * 254])
def test_repositories_are_names(translated: Translated, repository: str) -> None:
    with pytest.raises(BadRequest, match="must name CVMFS repositories such as atlas"):
        translated(metadata=with_annotation(repository))


@pytest.mark.parametrize("source", [{"hostPath": {"path": "/cvmfs/../etc"}}, {"hostPath": {"path": "/cvmfs/$(x)"}}])
def test_no_path_leaves_cvmfs(translated: Translated, source: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        translated(spec={"volumes": [{"name": "v", **source}]})
