from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from interlink_common.errors import BadRequest
from interlink_common.model.workload import Controller, Dns, Network, Placement, RegistryCredential, Workload

Translated = Callable[..., Workload]


def test_defaults(translated: Translated) -> None:
    workload = translated()
    assert (workload.restart_policy, workload.grace_seconds, workload.hostname, workload.dns) == ("Always", 30, "pod", Dns())


def test_fields_of_the_pod(translated: Translated) -> None:
    workload = translated(
        spec={
            "restartPolicy": "OnFailure",
            "terminationGracePeriodSeconds": 0,
            "activeDeadlineSeconds": 60,
            "serviceAccountName": "robot",
            "hostname": "h",
            "subdomain": "s",
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a.b", "c"]}, {"ip": "fd00::1", "hostnames": None}],
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": ["1.1.1.1"],
                "searches": ["svc.cluster.local", "."],
                "options": [{"name": "ndots", "value": "5"}, {"name": "edns0"}],
            },
            "hostNetwork": True,
            "hostPID": True,
            "hostIPC": True,
            "shareProcessNamespace": True,
            "securityContext": {"fsGroup": 7, "sysctls": [{"name": "net/core/somaxconn", "value": "1 2"}]},
            "nodeSelector": {"a": "b"},
            "affinity": {"z": 1, "a": []},
            "tolerations": [{"key": "k"}],
            "priorityClassName": "high",
            "runtimeClassName": "gvisor",
        },
        metadata={
            "labels": {"l": "1"},
            "annotations": {
                "slurm-job.vk.io/pre-exec": "cat <<EOF > mesh.sh",
                "interlink.eu/wstunnel-client-commands": "wstunnel client",
                "interlink.eu/pod-ip": "10.1.2.3",
                "interlink.eu/pod-subnet": "10.1.0.0/16",
                "interlink.eu/wireguard-client-snippet": "[Interface]",
            },
        },
    )
    assert (workload.restart_policy, workload.grace_seconds, workload.active_deadline_seconds) == ("OnFailure", 0, 60)
    assert (workload.service_account, workload.hostname, workload.subdomain) == ("robot", "h", "s")
    assert workload.host_aliases == (("10.0.0.1", ("a.b", "c")), ("fd00::1", ()))
    assert workload.dns == Dns("None", ("1.1.1.1",), ("svc.cluster.local", "."), ("ndots:5", "edns0"))
    assert (workload.host_network, workload.host_pid, workload.host_ipc, workload.share_process_namespace) == (True,) * 4
    assert (workload.fs_group, workload.sysctls) == (7, {"net.core.somaxconn": "1 2"})
    assert workload.placement == Placement({"a": "b"}, '{"a":[],"z":1}', '[{"key":"k"}]', "high", "gvisor")
    assert workload.labels == {"l": "1"}
    assert workload.network == Network("cat <<EOF > mesh.sh", "wstunnel client", "10.1.2.3", "10.1.0.0/16", "[Interface]")


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, Network()),
        ({"interlink.eu/mesh-network": "enabled", "slurm-job.vk.io/pre-exec": "> $TMPDIR/mesh.sh"}, Network("> $TMPDIR/mesh.sh")),
        ({"interlink.eu/mesh-network": " Disabled", "slurm-job.vk.io/pre-exec": "> $TMPDIR/mesh.sh"}, Network(mesh_disabled=True)),
        ({"slurm-job.vk.io/pre-exec": "module load root"}, Network()),
    ],
)
def test_a_mesh_script_is_told_from_other_scripts(translated: Translated, annotations: dict[str, str], expected: Network) -> None:
    assert translated(metadata={"annotations": annotations}).network == expected


def test_a_long_pod_name_is_cut_to_a_hostname(translated: Translated) -> None:
    assert translated(metadata={"name": "a" * 62 + "-b"}).hostname == "a" * 62


SECONDS = "2147483647."


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"containers": []}, "pod.spec.containers must hold at least one container."),
        ({"containers": None}, "pod.spec.containers must hold at least one container."),
        ({"initContainers": [{"name": "c", "image": "x"}]}, "pod.spec has two containers named c."),
        ({"restartPolicy": "Sometimes"}, "pod.spec.restartPolicy must be Always, OnFailure or Never."),
        ({"terminationGracePeriodSeconds": -1}, f"pod.spec.terminationGracePeriodSeconds must be between 0 and {SECONDS}"),
        ({"terminationGracePeriodSeconds": 10**30}, f"pod.spec.terminationGracePeriodSeconds must be between 0 and {SECONDS}"),
        ({"activeDeadlineSeconds": 0}, f"pod.spec.activeDeadlineSeconds must be between 1 and {SECONDS}"),
        ({"hostAliases": [{"ip": "1.2.3.4\nx", "hostnames": []}]}, "pod.spec.hostAliases[0].ip must be an IP address."),
        (
            {"hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a\n1.2.3.5 b"]}]},
            "pod.spec.hostAliases[0].hostnames must be a DNS subdomain: at most 253 of a-z, 0-9, inner dashes and dots.",
        ),
        ({"dnsPolicy": "x"}, "pod.spec.dnsPolicy must be one of ClusterFirst, ClusterFirstWithHostNet, Default, None."),
        (
            {"hostAliases": [{"ip": "fe80::1%a\n1.2.3.4 b", "hostnames": []}]},
            "pod.spec.hostAliases[0].ip must be an IP address.",
        ),
        ({"dnsConfig": {"nameservers": ["fe80::1%\noptions"]}}, "pod.spec.dnsConfig.nameservers must be an IP address."),
        ({"dnsConfig": {"nameservers": ["x"]}}, "pod.spec.dnsConfig.nameservers must be an IP address."),
        ({"dnsConfig": {"searches": ["a\nb"]}}, "pod.spec.dnsConfig.searches must hold domain names."),
        ({"dnsConfig": {"options": [{"name": "a b"}]}}, "pod.spec.dnsConfig.options must hold names and values without spaces or colons."),
        (
            {"securityContext": {"sysctls": [{"name": "a b", "value": "1"}]}},
            "pod.spec.securityContext.sysctls is not the name or value of a kernel parameter.",
        ),
        ({"securityContext": {"fsGroup": -1}}, "pod.spec.securityContext.fsGroup must be between 0 and 2147483647."),
    ],
)
def test_bad_pods(translated: Translated, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        translated(spec=spec)
    assert str(caught.value) == message


def test_the_owner_that_manages_the_pod(translated: Translated) -> None:
    owners = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1"},
        {"apiVersion": "batch/v1", "kind": "Job", "name": "b", "uid": "2", "controller": True},
    ]
    assert translated({}, metadata={"ownerReferences": owners}).controller == Controller("Job", "b", "2")
    assert translated({}, metadata={"ownerReferences": owners[:1]}).controller is None


@pytest.mark.parametrize("metadata", [{"name": "../x"}, {"namespace": "a b"}, {"name": "a" * 254}])
def test_bad_names(translated: Translated, metadata: dict[str, str]) -> None:
    (field,) = metadata
    with pytest.raises(BadRequest, match=rf"^pod\.metadata\.{field} must be a DNS "):
        translated(metadata=metadata)


def test_containers_that_stay_in_the_cluster_are_named_not_translated(translated: Translated) -> None:
    workload = translated(
        spec={"containers": [{"name": "c", "image": "x"}, {"name": "stays"}]},
        metadata={
            "annotations": {
                "interlink.eu/disable-offload-containers": "stays, gone,stays",
                "interlink.eu/disable-offload-init-containers": "init",
            }
        },
    )
    assert [c.name for c in workload.containers] == ["c"]
    assert (workload.not_offloaded, workload.not_offloaded_init) == (("stays", "gone"), ("init",))


def docker_secret(name: str, key: str, document: object, kind: str) -> dict[str, Any]:
    text = document if isinstance(document, str) else json.dumps(document)
    return {"metadata": {"name": name}, "type": kind, "data": {key: base64.b64encode(text.encode()).decode()}}


JSON = "kubernetes.io/dockerconfigjson"
AUTH = base64.b64encode(b"bob:pass:word").decode()


def test_registry_logins_that_came_with_the_pod(translated: Translated) -> None:
    workload = translated(
        spec={"imagePullSecrets": [{"name": "new"}, {"name": "old"}, {"name": "absent"}, {"name": "opaque"}]},
        data={
            "secrets": [
                docker_secret(
                    "new", ".dockerconfigjson", {"auths": {"r.example": {"username": "al", "password": "pw"}, "b": {"auth": AUTH}}}, JSON
                ),
                docker_secret("old", ".dockercfg", {"old.example": {"auth": AUTH}}, "kubernetes.io/dockercfg"),
                docker_secret("opaque", ".dockerconfigjson", {"auths": {}}, "Opaque"),
            ]
        },
    )
    assert workload.registry_credentials == (
        RegistryCredential("r.example", "al", "pw"),
        RegistryCredential("b", "bob", "pass:word"),
        RegistryCredential("old.example", "bob", "pass:word"),
    )
    why = (
        "is not used, because interLink sends only secrets that a container mounts: mount it, or configure the registry login at the plugin"
    )
    assert workload.warnings == (f"imagePullSecrets: secret absent {why}", f"imagePullSecrets: secret opaque {why}")


@pytest.mark.parametrize(
    "document",
    [
        "hunter2",
        "[]",
        '{"auths": []}',
        '{"auths": {"s": 1}}',
        '{"auths": {"s": {"auth": "hunter2!"}}}',
        '{"auths": {"s": {"password": 1}}}',
    ],
)
def test_a_bad_registry_secret_is_named_and_not_repeated(translated: Translated, document: str) -> None:
    with pytest.raises(BadRequest) as caught:
        translated(spec={"imagePullSecrets": [{"name": "s"}]}, data={"secrets": [docker_secret("s", ".dockerconfigjson", document, JSON)]})
    assert str(caught.value) == "The image pull secret s does not hold a valid .dockerconfigjson."
