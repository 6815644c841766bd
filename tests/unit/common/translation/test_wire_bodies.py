"""The recorded create bodies, each translated to one whole Workload."""

from __future__ import annotations

import json
from typing import Any

from interlink_common.contract.requests import parse_create
from interlink_common.model.workload import (
    Container,
    EmptyDirVolume,
    ExternalVolume,
    File,
    FilesVolume,
    HostPathVolume,
    Mount,
    Placement,
    Resources,
    Workload,
)
from interlink_common.translation.translate import translate

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
TOLERATIONS = (
    '[{"key":"virtual-node.interlink/no-schedule","operator":"Exists"},'
    '{"effect":"NoExecute","key":"node.kubernetes.io/not-ready","operator":"Exists","tolerationSeconds":300},'
    '{"effect":"NoExecute","key":"node.kubernetes.io/unreachable","operator":"Exists","tolerationSeconds":300}]'
)


def translated(body: Any, *, unexpanded: bool = False) -> Workload:
    request = parse_create(json.dumps(body).encode())
    return translate(request, skip_downward_api_resolution=unexpanded, cvmfs_claims=["cvmfs"])


def common(node: str = "vk-a") -> dict[str, Any]:
    """What all recorded pods share."""
    return {
        "namespace": "default",
        "restart_policy": "Never",
        "service_account": "default",
        "placement": Placement(node_selector={"kubernetes.io/hostname": node}, tolerations_json=TOLERATIONS),
    }


def annotation(body: Any) -> dict[str, str]:
    """kubectl's copy of the manifest: too long to repeat here, and passed on untouched."""
    return {LAST_APPLIED: body["pod"]["metadata"]["annotations"][LAST_APPLIED]}


def token_volume(body: Any, name: str) -> FilesVolume:
    certificate = body["container"][0]["projectedvolumemaps"][0]["data"]["ca.crt"]
    assert certificate.startswith("-----BEGIN CERTIFICATE-----\n")
    return FilesVolume(
        name,
        (
            File("ca.crt", 0o644, certificate.encode()),
            File("namespace", 0o644, b"default"),
            File("token", 0o644, b"eyJ.REDACTED.jwt"),
        ),
        secret=True,
    )


def rich(body: Any, *, suffix: str, uid: str, token: str, env: dict[str, str], warnings: tuple[str, ...] = ()) -> Workload:
    token_mount = Mount(token, TOKEN_PATH, read_only=True)
    size = Resources(cpu_millis=250, memory_bytes=64 << 20)
    annotations_file = next(m for m in body["container"][2]["projectedvolumemaps"] if m["metadata"]["name"] == "dw")["data"]["ann"]
    return Workload(
        **common(f"vk-{suffix}"),
        uid=uid,
        name=f"rich-{suffix}",
        hostname=f"rich-{suffix}",
        grace_seconds=7,
        labels={"app": "rich", "tier": "x"},
        annotations={"e2e/s": '{"run":12}', "team": 'a "quoted" team', **annotation(body)},
        size=size,
        init_containers=(
            Container(
                "prep",
                "busybox:1.36",
                command=("sh", "-c", "echo init > /data/x"),
                env={"I1": "v1"},
                mounts=(Mount("work", "/data"), Mount("cmv", "/cm", read_only=True), token_mount),
            ),
            Container("native-sidecar", "busybox:1.36", command=("sleep", "100"), mounts=(token_mount,), sidecar=True),
        ),
        containers=(
            Container(
                "main",
                "busybox:1.36",
                command=("sh", "-c", "echo one-two bee"),
                args=("one x $(A)",),
                env=env,
                mounts=(
                    Mount("work", "/data"),
                    Mount("cmv", "/cm", read_only=True),
                    Mount("cmv", "/etc/one.conf", read_only=True, sub_path="a.conf"),
                    Mount("secv", "/sec", read_only=True),
                    Mount("dw", "/dw", read_only=True),
                    Mount("proj", "/proj", read_only=True),
                    token_mount,
                ),
                requests=size,
                limits=size,
            ),
            Container("side", "busybox:1.36", mounts=(Mount("work", "/data"), token_mount)),
        ),
        volumes=(
            EmptyDirVolume("work", size_limit_bytes=1 << 20),
            FilesVolume("cmv", (File("blob.bin", 0o400, b"\0\1\2\3\4"), File("sub/a.conf", 0o440, b"hello\nworld\n"))),
            FilesVolume("secv", (File("password", 0o600, b"p@ss'\"w"), File("user", 0o600, b"alice")), secret=True),
            FilesVolume(
                "dw",
                (
                    File("ann", 0o644, annotations_file.encode()),
                    File("cpu", 0o644, b"1"),
                    File("lab1", 0o644, b"rich"),
                    File("labels", 0o644, b'app="rich"\ntier="x"\n'),
                ),
            ),
            FilesVolume(
                "proj",
                (
                    File("GOOD_KEY", 0o644, b"gk"),
                    File("a.conf", 0o644, b"hello\nworld\n"),
                    File("blob.bin", 0o644, b"\0\1\2\3\4"),
                    File("key-b", 0o644, b"bee"),
                    File("ns", 0o644, b"default"),
                    File("password", 0o644, b"p@ss'\"w"),
                    File("tok", 0o644, b"eyJ.REDACTED.jwt"),
                    File("user", 0o644, b"alice"),
                ),
                secret=True,
            ),
            token_volume(body, token),
        ),
        warnings=warnings,
    )


ENV = {
    "A": "one",
    "B": "one-two",
    "D": "$(LATER) $(A)",
    "LATER": "late",
    "A_FROM_CM": "bee",
    "PW": "p@ss'\"w",
    "MYANN": 'a "quoted" team',
    "a.conf": "hello\nworld\n",
    "key-b": "bee",
    "GOOD_KEY": "gk",
    "P_user": "alice",
    "P_password": "p@ss'\"w",
}


def test_01_rich_pod_with_expanded_environment(wire: dict[str, Any]) -> None:
    assert translated(wire["01"]) == rich(
        wire["01"],
        suffix="a",
        uid="caee730a-d4b4-4b88-8ca4-5298e18f4b6e",
        token="kube-api-access-s2c5k",
        env=ENV | {"MYNAME": "rich-a", "MYLABEL": "rich", "MYvk-a": "vk-a"},
    )


def test_02_rich_pod_with_unexpanded_environment(wire: dict[str, Any]) -> None:
    assert translated(wire["02"], unexpanded=True) == rich(
        wire["02"],
        suffix="b",
        uid="06bdb4db-2d0c-452e-8671-0a9d8edc409a",
        token="kube-api-access-rpn25",
        env=ENV | {"MYNAME": "rich-b", "MYLABEL": "", "MYvk-b": "", "MYIP": "127.0.0.1", "HOSTIP": "", "CPUL": "250m", "MEML": "64Mi"},
        warnings=(
            "container main: environment MYLABEL, MYvk-b, HOSTIP arrived without a value, which may be lost:"
            " interLink drops references to labels, spec.nodeName and status.hostIP",
        ),
    )


def test_03_simple_pod(wire: dict[str, Any]) -> None:
    body = wire["03"]
    token = "kube-api-access-xr7q8"
    assert translated(body) == Workload(
        **common(),
        uid="0266151f-3486-47f5-8383-9fcc9877a359",
        name="t-a",
        hostname="t-a",
        grace_seconds=5,
        annotations={"e2e/s": '{"run":8}', **annotation(body)},
        containers=(Container("c0", "busybox:1.36", command=("sh", "-c", "echo hi"), mounts=(Mount(token, TOKEN_PATH, read_only=True),)),),
        volumes=(token_volume(body, token),),
    )


def test_04_hostpath_nfs_and_image_volumes(wire: dict[str, Any]) -> None:
    body = wire["04"]
    token = "kube-api-access-hgcmb"
    assert translated(body) == Workload(
        **common(),
        uid="aa2ac88d-39f4-4350-8d3d-485262953bda",
        name="l-hp",
        hostname="l-hp",
        grace_seconds=5,
        annotations={"e2e/s": '{"run":-1}', **annotation(body)},
        containers=(
            Container(
                "c0",
                "busybox:1.36",
                command=("sh", "-c", "echo hi"),
                mounts=(Mount("h", "/v"), Mount(token, TOKEN_PATH, read_only=True)),
            ),
        ),
        volumes=(
            HostPathVolume("h", "/tmp"),
            ExternalVolume("n", "nfs", "1.2.3.4:/x"),
            ExternalVolume("im", "image", "im", read_only=True, attributes={"reference": "x:y", "pullPolicy": "IfNotPresent"}),
            token_volume(body, token),
        ),
    )


def test_05_containers_that_stay_in_the_cluster(wire: dict[str, Any]) -> None:
    body = wire["05"]
    token = "kube-api-access-xvmzj"
    mounts = (Mount(token, TOKEN_PATH, read_only=True),)
    assert translated(body) == Workload(
        **common(),
        uid="1803a077-5dbd-4a9c-9b66-c31d4a0bfad4",
        name="l-off",
        hostname="l-off",
        grace_seconds=5,
        annotations={
            "e2e/s": '{"run":-1}',
            "interlink.eu/disable-offload-containers": "c1",
            "interlink.eu/disable-offload-init-containers": "i0",
            **annotation(body),
        },
        init_containers=(Container("i1", "busybox:1.36", command=("sh", "-c", "echo hi"), mounts=mounts),),
        containers=(Container("c0", "busybox:1.36", command=("sh", "-c", "echo hi"), mounts=mounts),),
        volumes=(token_volume(body, token),),
        not_offloaded=("c1",),
        not_offloaded_init=("i0",),
    )
