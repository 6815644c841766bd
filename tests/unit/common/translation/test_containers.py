from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interlink_common.errors import BadRequest, PluginError, Refused
from interlink_common.model.workload import (
    Container,
    ExecAction,
    GrpcAction,
    HttpAction,
    Port,
    Probe,
    Security,
    SleepAction,
    TcpAction,
    Workload,
)

Translated = Callable[..., Workload]
C = "pod.spec.containers[0]"

EVERYTHING: dict[str, Any] = {
    "image": "registry:5000/a/b:1",
    "workingDir": "/w",
    "ports": [
        {"containerPort": 8080, "name": "web", "protocol": "TCP"},
        {"containerPort": 53, "protocol": "UDP", "hostPort": 5353, "hostIP": "127.0.0.1"},
    ],
    "startupProbe": {
        "httpGet": {"port": "web", "path": "healthz", "httpHeaders": [{"name": "X-A", "value": "b c"}]},
        "failureThreshold": 30,
    },
    "readinessProbe": {"tcpSocket": {"port": "9000"}, "periodSeconds": 0, "successThreshold": 2, "initialDelaySeconds": 5},
    "livenessProbe": {"grpc": {"port": 9001, "service": "s"}, "timeoutSeconds": 7, "terminationGracePeriodSeconds": 3},
    "lifecycle": {
        "postStart": {"exec": {"command": ["sh", "-c", "echo $(NOT_EXPANDED)"]}},
        "preStop": {"sleep": {"seconds": 4}},
        "stopSignal": "SIGUSR1",
    },
    "imagePullPolicy": "Always",
    "terminationMessagePath": "/tmp/why",
    "terminationMessagePolicy": "FallbackToLogsOnError",
    "tty": True,
    "stdin": True,
    "stdinOnce": True,
}


def test_everything_a_container_can_say(translated: Translated) -> None:
    assert translated(EVERYTHING).containers == (
        Container(
            name="c",
            image="registry:5000/a/b:1",
            working_dir="/w",
            ports=(Port(8080, "TCP", "web"), Port(53, "UDP", "", 5353, "127.0.0.1")),
            startup_probe=Probe(HttpAction(8080, "/healthz", headers=(("X-A", "b c"),)), failure_threshold=30),
            readiness_probe=Probe(TcpAction(9000), initial_delay_seconds=5, success_threshold=2),
            liveness_probe=Probe(GrpcAction(9001, "s"), timeout_seconds=7, grace_seconds=3),
            post_start=ExecAction(("sh", "-c", "echo $(NOT_EXPANDED)")),
            pre_stop=SleepAction(4),
            stop_signal="SIGUSR1",
            image_pull_policy="Always",
            termination_message_path="/tmp/why",
            termination_message_fallback=True,
            tty=True,
            stdin=True,
            stdin_once=True,
        ),
    )


def test_a_sidecar_may_have_probes_and_hooks_a_plain_init_container_may_not(translated: Translated) -> None:
    init = EVERYTHING | {"name": "side", "restartPolicy": "Always"}
    workload = translated(spec={"initContainers": [init]})
    assert workload.sidecars == workload.init_containers
    assert workload.sidecars[0].liveness_probe == Probe(GrpcAction(9001, "s"), timeout_seconds=7, grace_seconds=3)
    for field in ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle"):
        plain = {"name": "i", "image": "x", field: EVERYTHING[field]}
        with pytest.raises(BadRequest) as caught:
            translated(spec={"initContainers": [plain]})
        assert str(caught.value) == f"pod.spec.initContainers[0].{field} must not be set on an init container without restartPolicy Always."


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("host:5000/busybox", "Always"),
        ("busybox:1.36", "IfNotPresent"),
        ("busybox@sha256:0", "IfNotPresent"),
        ("/cvmfs/unpacked.cern.ch/x:1", "IfNotPresent"),
    ],
)
def test_the_default_pull_policy(translated: Translated, image: str, policy: str) -> None:
    assert translated({"image": image}).containers[0].image_pull_policy == policy


PORT = "must be between 1 and 65535."


@pytest.mark.parametrize(
    ("container", "error", "message"),
    [
        ({"name": "UP"}, BadRequest, f"{C}.name must be a DNS label: at most 63 of a-z, 0-9 and inner dashes."),
        ({"image": ""}, BadRequest, f"{C}.image must name an image, without spaces."),
        ({"image": "a b"}, BadRequest, f"{C}.image must name an image, without spaces."),
        ({"imagePullPolicy": "Sometimes"}, BadRequest, f"{C}.imagePullPolicy must be Always, IfNotPresent or Never."),
        ({"restartPolicy": "Always"}, Refused, f"{C}.restartPolicy is supported only as Always, on init containers."),
        ({"workingDir": "/a\0"}, BadRequest, f"{C}.workingDir must not contain a NUL character."),
        ({"command": ["a", "\0"]}, BadRequest, f"{C}.command[1] must not contain a NUL character."),
        ({"terminationMessagePolicy": "x"}, BadRequest, f"{C}.terminationMessagePolicy must be File or FallbackToLogsOnError."),
        ({"terminationMessagePath": "//"}, BadRequest, f"{C}.terminationMessagePath must name a file."),
        (
            {"terminationMessagePath": "../x"},
            BadRequest,
            f"{C}.terminationMessagePath must be an absolute path without two dots as a component.",
        ),
        ({"ports": [{"containerPort": 0}]}, BadRequest, f"{C}.ports[0].containerPort {PORT}"),
        ({"ports": [{"containerPort": 1, "hostPort": 65536}]}, BadRequest, f"{C}.ports[0].hostPort {PORT}"),
        ({"ports": [{"containerPort": 1, "hostIP": "x"}]}, BadRequest, f"{C}.ports[0].hostIP must be an IP address."),
        ({"ports": [{"containerPort": 1, "protocol": "ICMP"}]}, BadRequest, f"{C}.ports[0].protocol must be TCP, UDP or SCTP."),
        ({"ports": [{"containerPort": 1, "name": "UP"}]}, BadRequest, f"{C}.ports[0].name is not a valid name."),
        (
            {"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]},
            BadRequest,
            f"{C}.ports has two ports named a.",
        ),
        (
            {"livenessProbe": {"httpGet": {"port": "nosuch"}}},
            BadRequest,
            f"{C}.livenessProbe.httpGet.port names no port of this container: add it to ports or give a number.",
        ),
        ({"livenessProbe": {"tcpSocket": {"port": "99999"}}}, BadRequest, f"{C}.livenessProbe.tcpSocket.port {PORT}"),
        (
            {"livenessProbe": {"httpGet": {"port": 1, "scheme": "FTP"}}},
            BadRequest,
            f"{C}.livenessProbe.httpGet.scheme must be HTTP or HTTPS.",
        ),
        (
            {"livenessProbe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "A", "value": "b\r\nC: d"}]}}},
            BadRequest,
            f"{C}.livenessProbe.httpGet.httpHeaders.value must not contain control characters.",
        ),
        ({"livenessProbe": {"exec": {"command": []}}}, BadRequest, f"{C}.livenessProbe.exec.command must not be empty."),
        ({"livenessProbe": {}}, Refused, f"{C}.livenessProbe has no action of a known kind."),
        (
            {"livenessProbe": {"exec": {"command": ["x"]}, "grpc": {"port": 1}}},
            BadRequest,
            f"{C}.livenessProbe must have exactly one action.",
        ),
        (
            {"livenessProbe": {"grpc": {"port": 1}, "successThreshold": 2}},
            BadRequest,
            f"{C}.livenessProbe.successThreshold must be 1 for this kind of probe.",
        ),
        (
            {"readinessProbe": {"grpc": {"port": 1}, "periodSeconds": -1}},
            BadRequest,
            f"{C}.readinessProbe.periodSeconds must be between 1 and 2147483647.",
        ),
        (
            {"readinessProbe": {"grpc": {"port": 1}, "terminationGracePeriodSeconds": 1}},
            BadRequest,
            f"{C}.readinessProbe.terminationGracePeriodSeconds must be a positive number, and never set for readiness.",
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": -1}}}},
            BadRequest,
            f"{C}.lifecycle.preStop.sleep.seconds must be between 0 and 2147483647.",
        ),
        ({"lifecycle": {"stopSignal": "KILL; rm"}}, BadRequest, f"{C}.lifecycle.stopSignal is not a valid name."),
    ],
)
def test_bad_containers(translated: Translated, container: dict[str, Any], error: type[PluginError], message: str) -> None:
    with pytest.raises(error) as caught:
        translated(container)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("pod", "container", "expected"),
    [
        ({}, {}, Security()),
        (
            {
                "runAsUser": 1,
                "runAsGroup": 2,
                "runAsNonRoot": True,
                "supplementalGroups": [3, 4],
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            {},
            Security(1, 2, True, seccomp_type="RuntimeDefault", supplemental_groups=(3, 4)),
        ),
        (
            {"runAsUser": 1, "runAsGroup": 2, "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            {"runAsUser": 0, "runAsNonRoot": False, "seccompProfile": {"type": "Localhost", "localhostProfile": "p/x.json"}},
            Security(0, 2, False, seccomp_type="Localhost", seccomp_profile="p/x.json"),
        ),
        (
            {"appArmorProfile": {"type": "Unconfined"}},
            {
                "privileged": True,
                "readOnlyRootFilesystem": True,
                "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]},
                "appArmorProfile": {"type": "Localhost", "localhostProfile": "mine"},
            },
            Security(
                privileged=True,
                read_only_root_filesystem=True,
                capabilities_add=("NET_ADMIN",),
                capabilities_drop=("ALL",),
                apparmor_profile="localhost/mine",
            ),
        ),
        ({}, {"allowPrivilegeEscalation": False}, Security(allow_privilege_escalation=False)),
    ],
)
def test_the_containers_security_goes_over_the_pods(translated: Translated, pod: Any, container: Any, expected: Security) -> None:
    workload = translated({"securityContext": container}, spec={"securityContext": pod})
    assert workload.containers[0].security == expected


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ({"runAsUser": -1}, "runAsUser"),
        ({"runAsGroup": 2**31}, "runAsGroup"),
        ({"capabilities": {"add": ["net admin"]}}, "capabilities.add"),
        ({"seccompProfile": {"type": "Localhost"}}, "seccompProfile.localhostProfile"),
        ({"seccompProfile": {"type": "Localhost", "localhostProfile": "../x"}}, "seccompProfile.localhostProfile"),
        ({"seccompProfile": {"type": "RuntimeDefault", "localhostProfile": "x"}}, "seccompProfile.localhostProfile"),
        ({"appArmorProfile": {"type": "x"}}, "appArmorProfile.type"),
        ({"privileged": True, "allowPrivilegeEscalation": False}, "allowPrivilegeEscalation"),
    ],
)
def test_bad_security(translated: Translated, context: dict[str, Any], field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        translated({"securityContext": context})
    assert str(caught.value).startswith(f"{C}.securityContext.{field} must ")
