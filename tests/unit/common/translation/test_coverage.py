from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from interlink_common.backend import Capabilities, Support
from interlink_common.contract.requests import CreateRequest
from interlink_common.errors import Refused
from interlink_common.model.workload import Workload
from interlink_common.translation.coverage import Finding, coverage, findings
from interlink_common.translation.translate import translate_checked
from interlink_common.translation.unsupported import unsupported_fields

Translated = Callable[..., Workload]
RequestOf = Callable[..., CreateRequest]

ALL = replace(
    Capabilities(),
    **dict[str, Any]({f.name: Support.YES for f in fields(Capabilities) if isinstance(f.default, Support)}),
    restart_policies=frozenset({"Always", "OnFailure", "Never"}),
    external_volume_kinds=frozenset({"nfs", "persistentVolumeClaim"}),
    device_resources=frozenset({"nvidia.com/*"}),
)
C = "pod.spec.containers[c]"
OTHER = {"name": "i", "image": "x"}
PROBE = {"tcpSocket": {"port": 1}}


def mounting(**mount: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "v", "mountPath": "/v", **mount}]}


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v", **source}]}


# capability, arguments of `translated`, the fields of the findings
ROWS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("init_containers", {"spec": {"initContainers": [OTHER]}}, ["pod.spec.initContainers"]),
    ("sidecars", {"spec": {"initContainers": [OTHER | {"restartPolicy": "Always"}]}}, ["pod.spec.initContainers"]),
    ("several_containers", {"spec": {"containers": [OTHER, OTHER | {"name": "j"}]}}, ["pod.spec.containers"]),
    ("probes", {"container": {"livenessProbe": PROBE}}, [f"{C}.livenessProbe"]),
    ("probes", {"container": {"startupProbe": PROBE, "readinessProbe": PROBE}}, [f"{C}.startupProbe", f"{C}.readinessProbe"]),
    (
        "hooks",
        {"container": {"lifecycle": {"postStart": PROBE, "preStop": PROBE}}},
        [f"{C}.lifecycle.postStart", f"{C}.lifecycle.preStop"],
    ),
    ("files_volumes", {"spec": volume(configMap={"name": "x"})}, ["pod.spec.volumes[v]"]),
    ("empty_dir", {"spec": volume(emptyDir={})}, ["pod.spec.volumes[v]"]),
    ("empty_dir_size_limit", {"spec": volume(emptyDir={"sizeLimit": "1Gi"})}, ["pod.spec.volumes[v].emptyDir.sizeLimit"]),
    ("host_path", {"spec": volume(hostPath={"path": "/x"})}, ["pod.spec.volumes[v]"]),
    ("cvmfs", {"spec": volume(hostPath={"path": "/cvmfs"})}, ["pod.spec.volumes[v]"]),
    (
        "mount_propagation",
        {"container": mounting(mountPropagation="HostToContainer"), "spec": volume(emptyDir={})},
        [f"{C}.volumeMounts.mountPropagation"],
    ),
    ("sub_path", {"container": mounting(subPath="s"), "spec": volume(emptyDir={})}, [f"{C}.volumeMounts.subPath"]),
    ("ephemeral_storage", {"container": {"resources": {"limits": {"ephemeral-storage": "1G"}}}}, [f"{C}.resources.ephemeral-storage"]),
    ("active_deadline", {"spec": {"activeDeadlineSeconds": 1}}, ["pod.spec.activeDeadlineSeconds"]),
    ("tty", {"container": {"tty": True}}, [f"{C}.tty"]),
    ("stdin", {"container": {"stdin": True}}, [f"{C}.stdin"]),
    ("host_ports", {"container": {"ports": [{"containerPort": 1, "hostPort": 1}]}}, [f"{C}.ports.hostPort"]),
    (
        "host_namespaces",
        {"spec": {"hostNetwork": True, "hostPID": True, "hostIPC": True}},
        ["pod.spec.hostNetwork", "pod.spec.hostPID", "pod.spec.hostIPC"],
    ),
    ("privileged", {"container": {"securityContext": {"privileged": True}}}, [f"{C}.securityContext.privileged"]),
    (
        "run_as",
        {"spec": {"securityContext": {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": True, "supplementalGroups": [1]}}},
        [f"{C}.securityContext.{name}" for name in ("runAsUser", "runAsGroup", "runAsNonRoot", "supplementalGroups")],
    ),
    (
        "capabilities",
        {"container": {"securityContext": {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": False}}},
        [f"{C}.securityContext.capabilities", f"{C}.securityContext.allowPrivilegeEscalation"],
    ),
    (
        "read_only_root_filesystem",
        {"container": {"securityContext": {"readOnlyRootFilesystem": True}}},
        [f"{C}.securityContext.readOnlyRootFilesystem"],
    ),
    (
        "seccomp",
        {"container": {"securityContext": {"seccompProfile": {"type": "Unconfined"}, "appArmorProfile": {"type": "Unconfined"}}}},
        [f"{C}.securityContext.seccompProfile", f"{C}.securityContext.appArmorProfile"],
    ),
    ("fs_group", {"spec": {"securityContext": {"fsGroup": 0}}}, ["pod.spec.securityContext.fsGroup"]),
    (
        "fs_group_of_claims",
        {"spec": {"securityContext": {"fsGroup": 0}, **volume(persistentVolumeClaim={"claimName": "x"})}},
        ["pod.spec.volumes[v].persistentVolumeClaim"],
    ),
    ("sysctls", {"spec": {"securityContext": {"sysctls": [{"name": "a", "value": "1"}]}}}, ["pod.spec.securityContext.sysctls"]),
    ("host_aliases", {"spec": {"hostAliases": [{"ip": "::1", "hostnames": ["a"]}]}}, ["pod.spec.hostAliases"]),
    (
        "dns_config",
        {"spec": {"dnsPolicy": "None", "dnsConfig": {"searches": ["a"]}}},
        ["pod.spec.dnsConfig", "pod.spec.dnsPolicy"],
    ),
    ("runtime_class", {"spec": {"runtimeClassName": "x"}}, ["pod.spec.runtimeClassName"]),
    ("share_process_namespace", {"spec": {"shareProcessNamespace": True}}, ["pod.spec.shareProcessNamespace"]),
    (
        "image_pull_secrets",
        {
            "spec": {"imagePullSecrets": [{"name": "s"}]},
            "data": {
                "secrets": [
                    {
                        "metadata": {"name": "s"},
                        "type": "kubernetes.io/dockercfg",
                        "data": {".dockercfg": "eyJhIjogeyJhdXRoIjogIllUcGkifX0="},
                    }
                ]
            },
        },
        ["pod.spec.imagePullSecrets"],
    ),
    (
        "mesh_network",
        {
            "metadata": {
                "annotations": {
                    "slurm-job.vk.io/pre-exec": "cat > $TMPDIR/mesh.sh",
                    "interlink.eu/wstunnel-client-commands": "x",
                    "interlink.eu/wireguard-client-snippet": "x",
                }
            }
        },
        [
            f"pod.metadata.annotations.{name}"
            for name in ("slurm-job.vk.io/pre-exec", "interlink.eu/wstunnel-client-commands", "interlink.eu/wireguard-client-snippet")
        ],
    ),
]
INDISPENSABLE = {"init_containers", "sidecars", "several_containers", "files_volumes", "empty_dir", "host_path", "cvmfs", "sub_path"}


def test_there_is_a_row_for_every_capability() -> None:
    assert {row[0] for row in ROWS} == {f.name for f in fields(Capabilities) if isinstance(f.default, Support)}


@pytest.mark.parametrize(("capability", "pod", "expected"), ROWS, ids=[row[0] for row in ROWS])
@pytest.mark.parametrize("support", Support)
def test_a_capability_is_honoured(
    translated: Translated, support: Support, capability: str, pod: dict[str, Any], expected: list[str]
) -> None:
    workload = translated(**pod)
    assert coverage(workload, ALL, "strict") == ()
    can = replace(ALL, **dict[str, Any]({capability: support}))
    found = [finding for finding in findings(workload, can) if finding.support is not Support.YES]
    assert [finding.field for finding in found] == ([] if support is Support.YES else expected)
    if support is not Support.REFUSE:
        assert coverage(workload, can, "strict") == tuple(f"{f.field} {f.reason}" for f in found)
        return
    more = f" (and {len(expected) - 1} more)." if len(expected) > 1 else "."
    with pytest.raises(Refused) as caught:
        coverage(workload, can, "strict")
    assert str(caught.value) == f"{found[0].field} {found[0].reason}{more}"
    if capability in INDISPENSABLE:
        with pytest.raises(Refused):
            coverage(workload, can, "warn")
    else:
        assert coverage(workload, can, "warn") == tuple(f"{f.field} {f.reason}" for f in found)


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        ({"spec": {"restartPolicy": "OnFailure"}}, "pod.spec.restartPolicy must be Never on this backend."),
        (
            {"spec": volume(nfs={"server": "s", "path": "/"})},
            "pod.spec.volumes[v].nfs is a kind of volume that this backend does not support.",
        ),
        (
            {"container": {"resources": {"limits": {"amd.com/gpu": 1}}}},
            f"{C}.resources.limits.amd.com/gpu is a resource that this backend does not offer.",
        ),
    ],
)
def test_capabilities_that_are_sets(translated: Translated, pod: dict[str, Any], message: str) -> None:
    can = replace(ALL, restart_policies=frozenset({"Never"}), external_volume_kinds=frozenset({"csi"}))
    pod["spec"] = {"restartPolicy": "Never"} | pod.get("spec", {})
    with pytest.raises(Refused) as caught:
        coverage(translated(**pod), can, "strict")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "pod",
    [
        {"spec": volume(emptyDir={"sizeLimit": "1Gi", "medium": "Memory"})},
        {"spec": volume(persistentVolumeClaim={"claimName": "x"})},
        {"spec": {"securityContext": {"fsGroup": 0}, **volume(nfs={"server": "s", "path": "/"})}},
    ],
    ids=["size of a memory emptyDir", "claim without fsGroup", "fsGroup of nfs, which Kubernetes leaves alone too"],
)
def test_nothing_is_missed(translated: Translated, pod: dict[str, Any]) -> None:
    can = replace(ALL, empty_dir_size_limit=Support.WARN, fs_group_of_claims=Support.WARN)
    assert coverage(translated(**pod), can, "strict") == ()


def test_offered_devices_match_by_pattern(translated: Translated) -> None:
    workload = translated({"resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}, spec=volume(nfs={"server": "s", "path": "/"}))
    assert coverage(workload, ALL, "strict") == ()


REFUSED, WARNED = Support.REFUSE, Support.WARN


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ({"spec": {"resourceClaims": [{"name": "x"}]}}, [("pod.spec.resourceClaims", REFUSED)]),
        ({"spec": {"ephemeralContainers": [{}]}}, [("pod.spec.ephemeralContainers", REFUSED)]),
        ({"spec": {"os": {"name": "windows"}}}, [("pod.spec.os.name", REFUSED)]),
        ({"container": {"volumeDevices": [{}]}}, [("pod.spec.containers[0].volumeDevices", REFUSED)]),
        ({"container": {"resources": {"claims": [{}]}}}, [("pod.spec.containers[0].resources.claims", REFUSED)]),
        ({"spec": {"hostUsers": False}}, [("pod.spec.hostUsers", WARNED)]),
        (
            {"metadata": {"annotations": {"slurm-job.vk.io/pre-exec": "module load root"}}},
            [("pod.metadata.annotations.slurm-job.vk.io/pre-exec", WARNED)],
        ),
        ({"spec": {"setHostnameAsFQDN": True}}, [("pod.spec.setHostnameAsFQDN", WARNED)]),
        ({"spec": {"fromTheFuture": {"a": 1}}}, [("pod.spec.fromTheFuture", WARNED)]),
        ({"spec": {"resources": {"limits": {"cpu": "1"}}}}, [("pod.spec.resources.limits", WARNED)]),
        ({"spec": {"securityContext": {"seLinuxOptions": {"level": "x"}}}}, [("pod.spec.securityContext.seLinuxOptions", WARNED)]),
        (
            {"container": {"securityContext": {"procMount": "Unmasked"}, "livenessProbe": PROBE | {"new": 1}}},
            [("pod.spec.containers[0].livenessProbe.new", WARNED), ("pod.spec.containers[0].securityContext.procMount", WARNED)],
        ),
        (
            {"container": mounting(recursiveReadOnly="Enabled"), "spec": volume(emptyDir={})},
            [("pod.spec.containers[0].volumeMounts[0].recursiveReadOnly", WARNED)],
        ),
        (
            {"spec": volume(projected={"sources": [{"serviceAccountToken": {"path": "t", "audience": "a", "expirationSeconds": 1}}]})},
            [("pod.spec.volumes[0].projected.sources[0].serviceAccountToken.audience", WARNED)],
        ),
        # An unknown kind of volume is an ExternalVolume, which capabilities cover.
        ({"spec": volume(quobyte={"registry": "r"})}, []),
        (
            {
                "spec": {
                    "os": {"name": "linux"},
                    "hostUsers": True,
                    "setHostnameAsFQDN": False,
                    "schedulerName": "s",
                    "priority": 1,
                    "ephemeralContainers": [],
                    "automountServiceAccountToken": False,
                },
                "container": {"securityContext": {"procMount": "Default"}, "resizePolicy": [{}], "volumeDevices": None},
            },
            [],
        ),
    ],
)
def test_what_nobody_honours_is_named(request_of: RequestOf, pod: dict[str, Any], expected: list[tuple[str, Support]]) -> None:
    assert [(finding.field, finding.support) for finding in unsupported_fields(request_of(**pod).pod)] == expected


def test_translate_checked_adds_every_warning_and_refuses_for_every_reason(request_of: RequestOf) -> None:
    settings: dict[str, Any] = {"skip_downward_api_resolution": True, "cvmfs_claims": []}
    request = request_of({"tty": True, "env": [{"name": "E"}]}, spec={"fromTheFuture": 1})
    workload = translate_checked(request, replace(ALL, tty=Support.WARN), "strict", **settings)
    assert [warning.split(" ")[0] for warning in workload.warnings] == ["container", f"{C}.tty", "pod.spec.fromTheFuture"]
    refused = request_of({"tty": True, "volumeDevices": [{}]})
    with pytest.raises(Refused, match=r"^pod\.spec\.containers\[0\]\.volumeDevices is not supported\.$"):
        translate_checked(refused, replace(ALL, tty=Support.WARN), "strict", **settings)
    assert len(translate_checked(refused, replace(ALL, tty=Support.REFUSE), "warn", **settings).warnings) == 2


def test_a_finding_of_a_hostile_name_is_a_plain_sentence(translated: Translated) -> None:
    others = [Finding('pod.spec.<b>"x"\n', "is & not", Support.WARN)]
    assert coverage(translated(), ALL, "strict", others) == ("pod.spec.(b)”x” is + not",)
