from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest

from interlink_common.errors import BadRequest, Refused
from interlink_common.model.workload import EmptyDirVolume, ExternalVolume, File, FilesVolume, HostPathVolume, Mount, Volume, Workload

Translated = Callable[..., Workload]

CONFIG_MAP = {
    "metadata": {"name": "cm"},
    "data": {"b": "two", "a.conf": "one"},
    "binaryData": {"blob": base64.b64encode(b"\0\xff").decode()},
}
SECRET = {"metadata": {"name": "sec"}, "data": {"password": base64.b64encode(b"p'w").decode()}, "type": "Opaque"}
# Listed once for each mount, as interLink does.
DATA = {"configMaps": [CONFIG_MAP, CONFIG_MAP], "secrets": [SECRET]}
V = "pod.spec.volumes[0]"
M = "pod.spec.containers[0].volumeMounts[0]"
CLAIM = {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}}


def volume_of(translated: Translated, source: dict[str, Any], *, mount: dict[str, Any] | None = None, **named: Any) -> Volume:
    mounts = [{"name": "v", "mountPath": "/v", **(mount or {})}]
    named = {"data": DATA} | named
    return translated({"volumeMounts": mounts}, spec={"volumes": [{"name": "v", **source}]}, **named).volume("v")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            {"configMap": {"name": "cm"}},
            FilesVolume("v", (File("a.conf", 0o644, b"one"), File("b", 0o644, b"two"), File("blob", 0o644, b"\0\xff"))),
        ),
        (
            {"configMap": {"name": "cm", "defaultMode": 0o400, "items": [{"key": "b", "path": "x//y/./b"}]}},
            FilesVolume("v", (File("x/y/b", 0o400, b"two"),)),
        ),
        (
            {"configMap": {"name": "cm", "items": [{"key": "b", "path": "b", "mode": 0}, {"key": "b", "path": "again"}]}},
            FilesVolume("v", (File("again", 0o644, b"two"), File("b", 0, b"two"))),
        ),
        (
            {"configMap": {"name": "cm", "optional": True, "items": [{"key": "nosuch", "path": "n"}]}},
            FilesVolume("v"),
        ),
        ({"configMap": {"name": "nosuch", "optional": True}}, FilesVolume("v")),
        ({"secret": {"secretName": "sec", "defaultMode": 0o600}}, FilesVolume("v", (File("password", 0o600, b"p'w"),), secret=True)),
        ({"secret": {"secretName": "nosuch", "optional": True}}, FilesVolume("v", secret=True)),
        ({"emptyDir": {}}, EmptyDirVolume("v")),
        ({}, EmptyDirVolume("v")),
        ({"emptyDir": {"medium": "Memory", "sizeLimit": "1.5Mi"}}, EmptyDirVolume("v", True, 3 << 19)),
        ({"emptyDir": {"sizeLimit": "0"}}, EmptyDirVolume("v")),
        ({"hostPath": {"path": "/data//x/", "type": "Directory"}}, HostPathVolume("v", "/data/x", "Directory")),
        ({"hostPath": {"path": "//data"}}, HostPathVolume("v", "/data")),
        ({"persistentVolumeClaim": {"claimName": "home", "readOnly": True}}, ExternalVolume("v", "persistentVolumeClaim", "home", True)),
        ({"nfs": {"server": "nas", "path": "/x"}}, ExternalVolume("v", "nfs", "nas:/x")),
        (
            {"csi": {"driver": "d", "volumeAttributes": {"a": "1"}, "readOnly": True}},
            ExternalVolume("v", "csi", "d", True, {"a": "1"}),
        ),
        (
            {"image": {"reference": "x:y", "pullPolicy": "Always"}},
            ExternalVolume("v", "image", "v", True, {"reference": "x:y", "pullPolicy": "Always"}),
        ),
        (
            {"ephemeral": {"volumeClaimTemplate": {"spec": CLAIM | {"storageClassName": "fast"}}}},
            ExternalVolume("v", "ephemeral", "fast", False, {"accessModes": "ReadWriteOnce,ReadOnlyMany", "storage": "1073741824"}),
        ),
        (
            {"quobyte": {"registry": "r", "readOnly": True}},
            ExternalVolume("v", "quobyte", "v", True, {"registry": "r", "readOnly": "True"}),
        ),
    ],
)
def test_volumes(translated: Translated, source: dict[str, Any], expected: Volume) -> None:
    assert volume_of(translated, source) == expected


def test_a_volume_that_nobody_mounts_came_without_data(translated: Translated) -> None:
    workload = translated(
        spec={
            "volumes": [
                {"name": "a", "configMap": {"name": "x"}},
                {"name": "b", "secret": {"secretName": "y"}},
                {"name": "p", "projected": {}},
            ]
        }
    )
    assert workload.volumes == (FilesVolume("a"), FilesVolume("b", secret=True), FilesVolume("p"))


CLAIM_SPEC = f"{V}.ephemeral.volumeClaimTemplate.spec"


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (CLAIM | {"selector": {}}, Refused, f"{CLAIM_SPEC}.selector is not supported"),
        (CLAIM | {"volumeMode": "Block"}, Refused, f"{CLAIM_SPEC}.volumeMode must be Filesystem"),
        (CLAIM | {"resources": {}}, BadRequest, f"{CLAIM_SPEC}.resources.requests.storage must be there"),
        (CLAIM | {"accessModes": []}, BadRequest, f"{CLAIM_SPEC}.accessModes must name at least one"),
    ],
)
def test_claims_that_can_not_be_made(translated: Translated, spec: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        volume_of(translated, {"ephemeral": {"volumeClaimTemplate": {"spec": spec}}})


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        (
            {"configMap": {"name": "nosuch"}},
            Refused,
            f"{V}.configMap names an object that did not come with the pod: create it or mark it optional.",
        ),
        (
            {"configMap": {"name": "cm", "items": [{"key": "nosuch", "path": "n"}]}},
            Refused,
            f"{V}.configMap.items[0].key names a key that does not exist: add it or mark the volume optional.",
        ),
        (
            {"configMap": {"name": "cm", "items": [{"key": "b", "path": "p"}, {"key": "a.conf", "path": "./p"}]}},
            BadRequest,
            f"{V}.configMap puts two keys at one path.",
        ),
        (
            {"configMap": {"name": "cm", "items": [{"key": "b", "path": "p"}, {"key": "a.conf", "path": "p/q"}]}},
            BadRequest,
            f"{V}.configMap has a path that is a file and a directory at once.",
        ),
        ({"configMap": {"name": "cm", "defaultMode": 0o1000}}, BadRequest, f"{V}.configMap.defaultMode must be between 0 and 511."),
        (
            {"secret": {"secretName": "sec", "items": [{"key": "password", "path": "p", "mode": -1}]}},
            BadRequest,
            f"{V}.secret.items[0].mode must be between 0 and 511.",
        ),
        ({"emptyDir": {"medium": "HugePages"}}, Refused, f"{V}.emptyDir.medium must be empty or Memory."),
        ({"emptyDir": {"sizeLimit": "-1"}}, BadRequest, f"{V}.emptyDir.sizeLimit must not be negative."),
        ({"hostPath": {"path": "/a/../etc"}}, BadRequest, f"{V}.hostPath.path must be an absolute path without two dots as a component."),
        ({"hostPath": {"path": "relative"}}, BadRequest, f"{V}.hostPath.path must be an absolute path without two dots as a component."),
        (
            {"hostPath": {"path": "/a", "type": "Any"}},
            BadRequest,
            f"{V}.hostPath.type must be one of the types that Kubernetes knows, such as Directory.",
        ),
        ({"emptyDir": {}, "nfs": {"server": "s", "path": "/"}}, BadRequest, f"{V} must have exactly one kind of volume."),
        (
            {"persistentVolumeClaim": {"claimName": "../x"}},
            BadRequest,
            f"{V}.persistentVolumeClaim.claimName must be a DNS subdomain: at most 253 of a-z, 0-9, inner dashes and dots.",
        ),
        ({"nfs": {"server": "a b", "path": "/"}}, BadRequest, f"{V}.nfs.server must be a host name or an IP address."),
        ({"nfs": {"server": "a", "path": "/../x"}}, BadRequest, f"{V}.nfs.path must be an absolute path without two dots as a component."),
        ({"emptyDir": {}, "quobyte": {}}, BadRequest, f"{V} must have exactly one kind of volume."),
    ],
)
def test_bad_volumes(translated: Translated, source: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        volume_of(translated, source)
    assert str(caught.value) == message


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "", ".", "..data", "a\0b", "x" * 256, "a/" * 2100])
def test_no_item_leaves_its_volume(translated: Translated, path: str) -> None:
    with pytest.raises(BadRequest, match=r"^pod\.spec\.volumes\[0\]\.configMap\.items\[0\]\.path "):
        volume_of(translated, {"configMap": {"name": "cm", "items": [{"key": "b", "path": path}]}})


@pytest.mark.parametrize("key", ["../x", "..", "a/b", "", "k\n"])
def test_no_key_leaves_its_volume(translated: Translated, key: str) -> None:
    data = {"configMaps": [{"metadata": {"name": "cm"}, "data": {key: "x"}}]}
    with pytest.raises(BadRequest, match="has a key that is not made of letters"):
        volume_of(translated, {"configMap": {"name": "cm"}}, data=data)


def test_data_that_is_not_base64_is_not_repeated(translated: Translated) -> None:
    data = {"secrets": [{"metadata": {"name": "sec"}, "data": {"password": "hunter2!"}}]}
    with pytest.raises(BadRequest, match=r"^pod\.spec\.volumes\[0\]\.secret names an object with data that is not base64\.$"):
        volume_of(translated, {"secret": {"secretName": "sec"}}, data=data)


def test_a_volume_name_that_comes_twice(translated: Translated) -> None:
    with pytest.raises(BadRequest, match=r"^pod\.spec\.volumes has two volumes named v\.$"):
        translated(spec={"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]})


def mount_of(translated: Translated, mount: dict[str, Any], source: dict[str, Any] | None = None, **container: Any) -> Mount:
    workload = translated(
        {"volumeMounts": [{"name": "v", "mountPath": "/v", **mount}], **container},
        spec={"volumes": [{"name": "v", **(source or {"emptyDir": {}})}]},
        data=DATA,
    )
    return workload.container("c").mounts[0]


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ({}, Mount("v", "/v")),
        ({"readOnly": True, "mountPath": "/a//b/"}, Mount("v", "/a/b", read_only=True)),
        ({"mountPath": "relative/x"}, Mount("v", "/relative/x")),
        ({"subPath": "x/./y"}, Mount("v", "/v", sub_path="x/y")),
        ({"subPath": "."}, Mount("v", "/v")),
        ({"subPathExpr": "$(POD)/$$(X)"}, Mount("v", "/v", sub_path="pod-1/$(X)")),
        ({"mountPropagation": "None"}, Mount("v", "/v")),
        ({"mountPropagation": "HostToContainer"}, Mount("v", "/v", propagation="HostToContainer")),
    ],
)
def test_mounts(translated: Translated, mount: dict[str, Any], expected: Mount) -> None:
    assert mount_of(translated, mount, env=[{"name": "POD", "value": "pod-1"}]) == expected


@pytest.mark.parametrize(
    "source",
    [
        {"configMap": {"name": "cm"}},
        {"secret": {"secretName": "sec"}},
        {"persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
        {"hostPath": {"path": "/cvmfs"}},
    ],
)
def test_what_is_read_only_by_nature_is_mounted_read_only(translated: Translated, source: dict[str, Any]) -> None:
    assert mount_of(translated, {"readOnly": False}, source) == Mount("v", "/v", read_only=True)


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"name": "nosuch"}, f"{M}.name names no volume of the pod."),
        ({"mountPath": "/"}, f"{M}.mountPath must not be the root directory or contain a colon."),
        ({"mountPath": "/a:b"}, f"{M}.mountPath must not be the root directory or contain a colon."),
        ({"mountPath": ""}, f"{M}.mountPath must be an absolute path without two dots as a component."),
        ({"mountPath": "/a/../b"}, f"{M}.mountPath must be an absolute path without two dots as a component."),
        ({"subPath": "../x"}, f"{M}.subPath must be a relative path without two dots as a component."),
        ({"subPath": "/x"}, f"{M}.subPath must be a relative path without two dots as a component."),
        ({"subPath": "x", "subPathExpr": "y"}, f"{M}.subPathExpr must not be set together with subPath."),
        ({"subPathExpr": "$(NOSUCH)"}, f"{M}.subPathExpr names a variable that the container does not have."),
        ({"subPathExpr": "$(UP)/x"}, f"{M}.subPathExpr must be a relative path without two dots as a component."),
        (
            {"mountPropagation": "Bidirectional"},
            f"{M}.mountPropagation must be None, HostToContainer, or in a privileged container Bidirectional.",
        ),
        ({"mountPropagation": "Any"}, f"{M}.mountPropagation must be None, HostToContainer, or in a privileged container Bidirectional."),
    ],
)
def test_bad_mounts(translated: Translated, mount: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        mount_of(translated, mount, env=[{"name": "UP", "value": ".."}])
    assert str(caught.value) == message


def test_two_mounts_at_one_path(translated: Translated) -> None:
    mounts = [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v/"}]
    with pytest.raises(BadRequest, match="has two mount paths named /v"):
        translated({"volumeMounts": mounts}, spec={"volumes": [{"name": "v"}]})
