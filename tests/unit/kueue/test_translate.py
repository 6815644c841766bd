"""A Workload as remote objects: whole objects compared."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.errors import Refused
from interlink_common.model import codec
from interlink_common.model.workload import (
    Container,
    Controller,
    CvmfsVolume,
    Dns,
    EmptyDirVolume,
    ExecAction,
    ExternalVolume,
    File,
    FilesVolume,
    GrpcAction,
    HostPathVolume,
    HttpAction,
    Mount,
    Placement,
    Port,
    Probe,
    RegistryCredential,
    Resources,
    Security,
    SleepAction,
    TcpAction,
    Workload,
)
from interlink_common.translation.expansion import expand
from interlink_kueue.backend import KueueBackend
from interlink_kueue.containers import container_object, literal
from interlink_kueue.history import ContainerEnd, EndedRun
from interlink_kueue.labels import pod_name, run_labels
from interlink_kueue.placement import map_placement
from interlink_kueue.settings import KueueSettings, PlacementSettings
from interlink_kueue.translate import Group, Target, build_objects, choose_target
from interlink_kueue.volumes import OBJECT_BYTES
from tests.unit.kueue.pods import MAIN, UID, pod, settings

DIRECT = Target(cluster="default", namespace="remote", queue="", on_eviction="rerun")
QUEUED = Target(cluster="default", namespace="remote", queue="batch", on_eviction="rerun")


def spec(workload: Workload, where: Target = DIRECT, with_settings: KueueSettings | None = None) -> dict[str, Any]:
    made: dict[str, Any] = build_objects(workload, where, with_settings or settings()).pod["spec"]
    return made


def test_the_least_pod() -> None:
    workload = pod()
    made = build_objects(workload, DIRECT, settings())
    assert made.owned == []
    assert made.pod == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(workload, 0),
            "namespace": "remote",
            "labels": {"interlink.eu/instance": "node-1", "interlink.eu/pod-uid": UID, "interlink.eu/run": "0", "interlink.eu/role": "pod"},
            "annotations": {
                "interlink.eu/pod-name": "demo",
                "interlink.eu/pod-namespace": "team",
                "interlink.eu/pod-uid": UID,
                "interlink.eu/workload": codec.to_json(codec.stub(workload)),
                "interlink.eu/on-eviction": "rerun",
            },
            "finalizers": ["interlink.eu/outcome"],
        },
        "spec": {
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "hostname": "demo",
            "dnsPolicy": "ClusterFirst",
            "containers": [
                {
                    "name": "main",
                    "image": "busybox:1.36",
                    "imagePullPolicy": "IfNotPresent",
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }
            ],
        },
    }


def test_a_pod_with_everything() -> None:
    workload = pod(
        MAIN,
        restart_policy="Never",
        grace_seconds=7,
        active_deadline_seconds=60,
        subdomain="ring",
        host_aliases=(("10.0.0.9", ("db", "db.local")),),
        host_network=True,
        host_pid=True,
        host_ipc=True,
        share_process_namespace=True,
        fs_group=2000,
        sysctls={"net.ipv4.tcp_syncookies": "1"},
        dns=Dns("None", ("9.9.9.9",), ("example.org",), ("ndots:2", "rotate")),
        init_containers=(Container("side", "busybox:1.36", sidecar=True),),
    )
    where = Target("default", "remote", "", "rerun", service_account="runner", image_pull_secrets=("site",))
    allowing = settings(security={"allow_host_namespaces": True, "allow_sysctls": ["net.*"]})
    made = spec(workload, where, allowing)
    assert [made.pop(name)[0]["name"] for name in ("containers", "initContainers")] == ["main", "side"]
    assert made == {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 7,
        "enableServiceLinks": False,
        "hostname": "demo",
        "subdomain": "ring",
        "schedulingGates": [{"name": "interlink.eu/incomplete"}],
        "activeDeadlineSeconds": 60,
        "serviceAccountName": "runner",
        "imagePullSecrets": [{"name": "site"}],
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["db", "db.local"]}],
        "hostNetwork": True,
        "hostPID": True,
        "hostIPC": True,
        "shareProcessNamespace": True,
        "securityContext": {"fsGroup": 2000, "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]},
        "dnsPolicy": "None",
        "dnsConfig": {
            "nameservers": ["9.9.9.9"],
            "searches": ["example.org"],
            "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}],
        },
    }


def test_a_container_with_everything() -> None:
    container = Container(
        name="main",
        image="registry.example.org:5000/x@sha256:0",
        command=("sh", "-c"),
        args=("echo $(HOSTNAME) $$ $HOME", ""),
        working_dir="/work",
        env={"A": "$(B)", "EMPTY": ""},
        mounts=(Mount("v", "/v", read_only=True, sub_path="a/b", propagation="HostToContainer"),),
        requests=Resources(cpu_millis=500, memory_bytes=1536, ephemeral_storage_bytes=10),
        limits=Resources(cpu_millis=1000, devices={"nvidia.com/gpu": 2}),
        ports=(Port(80, "TCP", "web", 8080, "127.0.0.1"),),
        startup_probe=Probe(ExecAction(("true",)), grace_seconds=3),
        readiness_probe=Probe(HttpAction(80, "/x", "h", "HTTPS", (("N", "v"),)), period_seconds=2, success_threshold=2),
        liveness_probe=Probe(GrpcAction(81, "svc")),
        post_start=TcpAction(82, "h"),
        pre_stop=SleepAction(3),
        stop_signal="SIGINT",
        image_pull_policy="Always",
        termination_message_path="/tmp/why",
        termination_message_fallback=True,
        tty=True,
        stdin=True,
        stdin_once=True,
        security=Security(
            run_as_user=0,
            run_as_group=5,
            run_as_non_root=True,
            privileged=True,
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities_add=("NET_ADMIN",),
            capabilities_drop=("ALL",),
            seccomp_type="Localhost",
            seccomp_profile="p.json",
            apparmor_profile="localhost/strict",
        ),
        sidecar=True,
    )
    assert container_object(container, {"nvidia.com/gpu": "amd.com/gpu"}) == {
        "name": "main",
        "image": "registry.example.org:5000/x@sha256:0",
        "imagePullPolicy": "Always",
        "command": ["sh", "-c"],
        "args": ["echo $$(HOSTNAME) $$$$ $$HOME", ""],
        "workingDir": "/work",
        "env": [{"name": "A", "value": "$$(B)"}, {"name": "EMPTY", "value": ""}],
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True, "subPath": "a/b", "mountPropagation": "HostToContainer"}],
        "resources": {
            "requests": {"cpu": "500m", "memory": "1536", "ephemeral-storage": "10"},
            "limits": {"cpu": "1000m", "amd.com/gpu": "2"},
        },
        "ports": [{"containerPort": 80, "protocol": "TCP", "name": "web", "hostPort": 8080, "hostIP": "127.0.0.1"}],
        "startupProbe": {"exec": {"command": ["true"]}, "terminationGracePeriodSeconds": 3, **times()},
        "readinessProbe": {
            "httpGet": {"port": 80, "path": "/x", "host": "h", "scheme": "HTTPS", "httpHeaders": [{"name": "N", "value": "v"}]},
            **times(periodSeconds=2, successThreshold=2),
        },
        "livenessProbe": {"grpc": {"port": 81, "service": "svc"}, **times()},
        "lifecycle": {"postStart": {"tcpSocket": {"port": 82, "host": "h"}}, "preStop": {"sleep": {"seconds": 3}}, "stopSignal": "SIGINT"},
        "terminationMessagePath": "/tmp/why",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "tty": True,
        "stdin": True,
        "stdinOnce": True,
        "restartPolicy": "Always",
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 5,
            "runAsNonRoot": True,
            "privileged": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
            "seccompProfile": {"type": "Localhost", "localhostProfile": "p.json"},
            "appArmorProfile": {"type": "Localhost", "localhostProfile": "strict"},
        },
    }


def times(**changed: int) -> dict[str, int]:
    return {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3, **changed}


@given(st.text(alphabet=st.sampled_from("$()aB_ \n"), max_size=30) | st.text(max_size=20))
def test_a_kubelet_gives_back_every_value_as_it_was(text: str) -> None:
    """`expand` agrees with Kubernetes' own loop; see tests/unit/common/translation/test_expansion.py."""
    assert expand(literal(text), {"aB": "wrong", "a": "wrong", "B": "wrong", "_": "wrong"}, "field") == text


def test_files_become_objects_that_the_pod_projects() -> None:
    files = (File("a.conf", 0o440, b"one"), File("sub/blob", 0o600, b"\xff\x00"))
    main = Container("main", "busybox:1.36", mounts=(Mount("cm", "/cm"),))
    workload = pod(main, volumes=(FilesVolume("cm", files), FilesVolume("pw", (File("p", 0o400, b"x"),), secret=True), FilesVolume("none")))
    made = build_objects(workload, DIRECT, settings())
    config_map, secret = made.owned
    labels = {"interlink.eu/instance": "node-1", "interlink.eu/pod-uid": UID, "interlink.eu/run": "0"}
    assert config_map == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": config_map["metadata"]["name"], "labels": labels},
        "binaryData": {"file-0": base64.b64encode(b"one").decode(), "file-1": "/wA="},
    }
    assert (secret["kind"], secret["data"]) == ("Secret", {"file-0": "eA=="})
    assert made.pod["spec"]["schedulingGates"] == [{"name": "interlink.eu/incomplete"}]
    assert made.pod["spec"]["volumes"] == [
        {
            "name": "cm",
            "projected": {
                "sources": [
                    {
                        "configMap": {
                            "name": config_map["metadata"]["name"],
                            "items": [
                                {"key": "file-0", "path": "a.conf", "mode": 0o440},
                                {"key": "file-1", "path": "sub/blob", "mode": 0o600},
                            ],
                        }
                    }
                ]
            },
        },
        {
            "name": "pw",
            "projected": {
                "sources": [{"secret": {"name": secret["metadata"]["name"], "items": [{"key": "file-0", "path": "p", "mode": 0o400}]}}]
            },
        },
        {"name": "none", "projected": {"sources": []}},
    ]
    assert made.pod["spec"]["containers"][0]["volumeMounts"] == [{"name": "cm", "mountPath": "/cm", "readOnly": True}]


def test_files_that_are_too_much_for_one_object_are_spread() -> None:
    half = b"x" * (OBJECT_BYTES // 2 + 1)
    made = build_objects(pod(volumes=(FilesVolume("big", (File("a", 0o644, half), File("b", 0o644, half))),)), DIRECT, settings())
    assert len({one["metadata"]["name"] for one in made.owned}) == 2
    assert len(made.pod["spec"]["volumes"][0]["projected"]["sources"]) == 2
    with pytest.raises(Refused, match="larger than"):
        KueueBackend(settings()).admit(pod(volumes=(FilesVolume("big", (File("a", 0o644, half + half),)),)))


EPHEMERAL = {"accessModes": "ReadWriteOnce,ReadOnlyMany", "storage": "1073741824"}


def claim_template(**more: str) -> dict[str, Any]:
    asked = {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "resources": {"requests": {"storage": "1073741824"}}}
    return {"metadata": {"labels": run_labels(settings().instance, pod(), 0)}, "spec": asked | more}


@pytest.mark.parametrize(
    ("volume", "groups", "source", "mount"),
    [
        (EmptyDirVolume("v"), {}, {"emptyDir": {}}, {}),
        (EmptyDirVolume("v", True, 1024), {}, {"emptyDir": {"medium": "Memory", "sizeLimit": "1024"}}, {}),
        (
            HostPathVolume("v", "/data/x", "DirectoryOrCreate"),
            {"volumes": {"host_path_allow": ["/data", "/data/x:ro"]}},
            {"hostPath": {"path": "/data/x", "type": "Directory"}},
            {"readOnly": True},
        ),
        (
            HostPathVolume("v", "/data//x/", "DirectoryOrCreate"),
            {"volumes": {"host_path_allow": ["/data/"]}},
            {"hostPath": {"path": "/data/x", "type": "DirectoryOrCreate"}},
            {},
        ),
        (
            ExternalVolume("v", "persistentVolumeClaim", "mine"),
            {"volumes": {"claims": {"mine": "other", "team/mine": "ours:ro"}}},
            {"persistentVolumeClaim": {"claimName": "ours"}},
            {"readOnly": True},
        ),
        (
            ExternalVolume("v", "nfs", "srv:/a/b"),
            {"volumes": {"nfs": {"srv:/a": "srv:/a", "team/srv:/a": "near:/of-team/:ro"}}},
            {"nfs": {"server": "near", "path": "/of-team/b"}},
            {"readOnly": True},
        ),
        (
            ExternalVolume("v", "nfs", "srv:/a/b"),
            {"volumes": {"nfs": {"srv:/": "srv:/"}}},
            {"nfs": {"server": "srv", "path": "/a/b"}},
            {},
        ),
        (
            ExternalVolume("v", "persistentVolumeClaim", "claim-bob"),
            {"volumes": {"claims": {"claim-{user}": "home-{user}"}}},
            {"persistentVolumeClaim": {"claimName": "home-bob"}},
            {},
        ),
        (
            ExternalVolume("v", "csi", "d.example.org", True, {"k": "v"}),
            {"volumes": {"csi": {"*.example.org": "remote.example.org"}}},
            {"csi": {"driver": "remote.example.org", "readOnly": True, "volumeAttributes": {"k": "v"}}},
            {},
        ),
        (
            ExternalVolume("v", "ephemeral", "fast", False, EPHEMERAL),
            {"volumes": {"storage_classes": {"fast": "nvme"}}},
            {"ephemeral": {"volumeClaimTemplate": claim_template(storageClassName="nvme")}},
            {},
        ),
        (
            ExternalVolume("v", "ephemeral", "", False, EPHEMERAL),
            {"volumes": {"storage_classes": {"": ""}}},
            {"ephemeral": {"volumeClaimTemplate": claim_template()}},
            {},
        ),
        (ExternalVolume("v", "image", "v", True, {"reference": "x:1"}), {}, {"image": {"reference": "x:1"}}, {"readOnly": True}),
        (
            CvmfsVolume("v", ("a.cern.ch",), "a.cern.ch/sub"),
            {},
            {"hostPath": {"path": "/cvmfs", "type": "Directory"}},
            {"readOnly": True, "mountPropagation": "HostToContainer", "subPath": "a.cern.ch/sub"},
        ),
        (
            CvmfsVolume("v"),
            {"cvmfs": {"claim": "cvmfs"}},
            {"persistentVolumeClaim": {"claimName": "cvmfs", "readOnly": True}},
            {"readOnly": True, "mountPropagation": "HostToContainer"},
        ),
    ],
)
def test_volumes(volume: Any, groups: dict[str, Any], source: dict[str, Any], mount: dict[str, Any]) -> None:
    made = spec(pod(Container("main", "busybox:1.36", mounts=(Mount("v", "/v"),)), volumes=(volume,)), DIRECT, settings(**groups))
    assert made["volumes"] == [{"name": "v", **source}]
    assert made["containers"][0]["volumeMounts"] == [{"name": "v", "mountPath": "/v", **mount}]


@pytest.mark.parametrize(
    ("volume", "groups", "words"),
    [
        (HostPathVolume("v", "/database"), {"volumes": {"host_path_allow": ["/data"]}}, "volumes.host_path_allow"),
        (HostPathVolume("v", "/data/../etc"), {"volumes": {"host_path_allow": ["/data"]}}, "volumes.host_path_allow"),
        (ExternalVolume("v", "persistentVolumeClaim", "mine"), {}, "volumes.claims"),
        (ExternalVolume("v", "persistentVolumeClaim", "x-.."), {"volumes": {"claims": {"x-{y}": "y-{y}"}}}, "cannot be part of a path"),
        (ExternalVolume("v", "flexVolume", "v"), {}, "flexVolume v is not mapped"),
        (ExternalVolume("v", "nfs", "srv:/a/../etc"), {"volumes": {"nfs": {"srv:/a": "srv:/a"}}}, "volumes.nfs"),
        (ExternalVolume("v", "csi", "d"), {}, "volumes.csi"),
        (ExternalVolume("v", "ephemeral", "slow", False, EPHEMERAL), {}, "the storage class slow is not mapped"),
        (ExternalVolume("v", "ephemeral", "", False, EPHEMERAL), {}, "a volume without a storage class is not mapped"),
        (CvmfsVolume("v"), {"cvmfs": {"host_path": ""}}, "cvmfs.host_path"),
    ],
)
def test_volumes_that_the_operator_has_not_mapped(volume: Any, groups: dict[str, Any], words: str) -> None:
    refused = pytest.raises(Refused, match=words.replace(".", r"\."))
    with refused:
        KueueBackend(settings(**groups)).admit(pod(volumes=(volume,)))
    with refused:
        spec(pod(volumes=(volume,)), DIRECT, settings(**groups))


def test_a_login_becomes_a_pull_secret() -> None:
    made = build_objects(pod(registry_credentials=(RegistryCredential("r.example.org", "me", "secret"),)), DIRECT, settings())
    (secret,) = made.owned
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    document = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    assert document == {"auths": {"r.example.org": {"auth": base64.b64encode(b"me:secret").decode()}}}
    assert made.pod["spec"]["imagePullSecrets"] == [{"name": secret["metadata"]["name"]}]


def test_pods_of_a_subdomain_share_a_headless_service() -> None:
    made = build_objects(pod(subdomain="ring"), DIRECT, settings())
    (service,) = made.owned
    chosen = {"interlink.eu/instance": "node-1", "interlink.eu/subdomain": service["spec"]["selector"]["interlink.eu/subdomain"]}
    assert service == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "ring", "labels": chosen},
        "spec": {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": chosen},
    }
    assert chosen.items() <= made.pod["metadata"]["labels"].items()
    assert build_objects(pod(subdomain="ring"), DIRECT, settings(network={"services": False})).owned == []


def test_a_queued_pod() -> None:
    group = {"kueue.x-k8s.io/pod-group-name": "ring"}
    workload = pod(labels=group, annotations={"kueue.x-k8s.io/pod-group-total-count": "3"})
    to_queue = settings(tenants={"*": {"queue": "batch"}}, queues={"priority_class": "low"})
    made = build_objects(workload, choose_target(workload, to_queue), to_queue).pod
    metadata, name = made["metadata"], "team-ring-"
    assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "batch"
    assert metadata["labels"]["kueue.x-k8s.io/priority-class"] == "low"
    assert metadata["labels"]["kueue.x-k8s.io/pod-group-name"].startswith(name)
    assert metadata["annotations"]["kueue.x-k8s.io/pod-group-total-count"] == "3"
    assert metadata["annotations"]["kueue.x-k8s.io/retriable-in-group"] == "false"
    assert made["spec"]["schedulingGates"] == [{"name": "interlink.eu/incomplete"}]
    again = build_objects(workload, choose_target(workload, to_queue), to_queue, run=1).pod["metadata"]["labels"]
    assert again["kueue.x-k8s.io/pod-group-name"] != again["interlink.eu/group"] == metadata["labels"]["interlink.eu/group"]


OWNED = {"controller": Controller("PyTorchJob", "train", "job-uid")}
LABELLED = {"labels": {"kueue.x-k8s.io/pod-group-name": "ring"}}


@pytest.mark.parametrize(
    ("fields", "variables", "count", "expected"),
    [
        ({}, {"PET_NNODES": "4"}, None, None),
        (OWNED, {"PET_NNODES": "4"}, None, Group(("team", "train", "job-uid"), 4)),
        (OWNED, {"PET_NNODES": "1:4"}, "3", Group(("team", "train", "job-uid"), 3)),
        (OWNED | LABELLED, {"PET_NNODES": "4"}, "3", Group(("team", "ring"), 3)),
        ({"controller": Controller("ReplicaSet", "web", "uid")}, {"PET_NNODES": "4"}, None, None),
        (LABELLED, {}, "many", "total-count must say how many pods the group ring has"),
        (LABELLED, {"PET_NNODES": "4"}, None, "total-count must say how many pods the group ring has"),
        (OWNED, {"PET_NNODES": "1:4"}, None, "or the variable PET_NNODES of its containers, must say how many pods PyTorchJob train has"),
        ({"controller": Controller("Job", "sum", "uid")}, {}, None, "total-count must say how many pods Job sum has"),
    ],
)
def test_groups(fields: dict[str, Any], variables: dict[str, str], count: str | None, expected: Group | str | None) -> None:
    annotations = {"kueue.x-k8s.io/pod-group-total-count": count} if count else {}
    workload = pod(replace(MAIN, env=variables), annotations=annotations, **fields)
    to_queue = settings(tenants={"*": {"queue": "batch"}}, queues={"group_owners": {"Job": "", "PyTorchJob": "PET_NNODES"}})
    if isinstance(expected, str):
        with pytest.raises(Refused, match=expected):
            choose_target(workload, to_queue)
    else:
        assert choose_target(workload, to_queue).group == expected
        assert choose_target(workload, settings()).group is None


def test_a_second_run_has_another_name_and_tells_of_the_first() -> None:
    past = (EndedRun("Preempted", "made room", (ContainerEnd("main", 143, 1.0, 2.0, "containerd://x"),), {"main": 0}),)
    first, second = build_objects(pod(), QUEUED, settings()).pod, build_objects(pod(), QUEUED, settings(), 1, past).pod
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert second["metadata"]["labels"]["interlink.eu/run"] == "1"
    assert json.loads(second["metadata"]["annotations"]["interlink.eu/past"])[0]["reason"] == "Preempted"


def test_names_are_safe_and_never_meet() -> None:
    def named(uid: str = UID, name: str = "demo", namespace: str = "team") -> str:
        return pod_name(Workload(uid, name, namespace, (MAIN,)), 0)

    long = "x" * 200
    names = [named(), named(name=long + "a"), named(name=long + "b"), named(namespace="tea", name="m-demo"), named(uid="other")]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 63 for name in names)


@pytest.mark.parametrize(
    ("groups", "annotations", "expected"),
    [
        ({}, {}, Target("default", "", "", "rerun")),
        ({"tenants": {"team": {"namespace": "x-{namespace}", "queue": "q"}}}, {}, Target("default", "x-team", "q", "rerun")),
        ({"tenants": {"*": {"queue": "q", "on_eviction": "fail"}}}, {}, Target("default", "", "q", "fail")),
        ({"tenants": {"*": {}, "t*": {"queue": "t"}, "te*": {"queue": "te"}}}, {}, Target("default", "", "te", "rerun")),
        ({"tenants": {"te*": {}, "team": {"queue": "q"}}}, {}, Target("default", "", "q", "rerun")),
        ({}, {"kueue.interlink.eu/queue-name": "mine"}, Target("default", "", "mine", "rerun")),
        ({"evictions": {"policy": "fail"}}, {"interlink.eu/on-eviction": "rerun"}, Target("default", "", "", "rerun")),
    ],
)
def test_where_a_pod_goes(groups: dict[str, Any], annotations: dict[str, str], expected: Target) -> None:
    assert choose_target(pod(annotations=annotations), settings(**groups)) == expected


@pytest.mark.parametrize(
    ("groups", "annotations", "words"),
    [
        ({"tenants": {"other": {}}}, {}, "is not served here"),
        ({"queues": {"annotation": False}}, {"kueue.interlink.eu/queue-name": "mine"}, "does not let pods choose"),
        ({}, {"kueue.interlink.eu/queue-name": "a b"}, "name of a LocalQueue"),
        ({}, {"interlink.eu/on-eviction": "maybe"}, "must be rerun or fail"),
    ],
)
def test_where_a_pod_may_not_go(groups: dict[str, Any], annotations: dict[str, str], words: str) -> None:
    with pytest.raises(Refused, match=words):
        choose_target(pod(annotations=annotations), settings(**groups))


def test_placement_by_the_maps() -> None:
    wanted = Placement(
        node_selector={"gpu": "a100", "disk": "fast", "kubernetes.io/arch": "arm64", "kubernetes.io/hostname": "virtual"},
        affinity_json='{"nodeAffinity":{}}',
        tolerations_json='[{"key":"virtual-node.interlink/no-schedule"},{"key":"gpu","operator":"Exists"},{"key":"other"}]',
        priority_class="high",
        runtime_class="gvisor",
    )
    maps = PlacementSettings(
        node_selector={"gpu=a100": {"accelerator": "nvidia-a100"}},
        add_node_selector={"pool": "interlink"},
        add_tolerations=[{"key": "interlink", "operator": "Exists"}],
        keep_tolerations=["gpu"],
        priority_classes={"high": "remote-high"},
    )
    assert map_placement(wanted, maps) == (
        {
            "nodeSelector": {"accelerator": "nvidia-a100", "kubernetes.io/arch": "arm64", "pool": "interlink"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}, {"key": "interlink", "operator": "Exists"}],
            "priorityClassName": "remote-high",
        },
        (
            "spec.nodeSelector disk has no effect on the remote cluster",
            "spec.tolerations other has no effect on the remote cluster",
            "spec.affinity has no effect on the remote cluster",
            "spec.runtimeClassName gvisor has no counterpart on the remote cluster",
        ),
    )


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (pod(host_network=True), "spec.hostNetwork is not allowed"),
        (pod(sysctls={"kernel.x": "1"}), "allow_sysctls"),
        (pod(Container("main", "x", security=Security(privileged=True))), "allow_privileged"),
        (pod(Container("main", "x", security=Security(capabilities_add=("SYS_ADMIN",)))), "allow_capabilities"),
        (pod(Container("main", "x", security=Security(seccomp_type="Unconfined"))), "allow_seccomp_unconfined"),
        (pod(Container("main", "x", ports=(Port(80, host_port=80),))), "allow_host_ports"),
        (pod(Container("main", "x", mounts=(Mount("v", "/v", propagation="Bidirectional"),))), "allow_bidirectional_mounts"),
        (pod(Container("main", "docker://x")), "must be the name of an OCI image"),
        (Workload("a/b", "n", "ns", (MAIN,)), "metadata.uid"),
    ],
)
def test_denied_unless_allowed(workload: Workload, words: str) -> None:
    with pytest.raises(Refused, match=words):
        KueueBackend(settings()).admit(workload)
