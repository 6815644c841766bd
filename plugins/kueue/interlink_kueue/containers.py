"""Containers of a Workload as v1.Container objects. Pure.

A Workload's values are final, but the remote kubelet expands $(NAME) in command, args and env; `literal` escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlink_common.model.workload import (
    Container,
    ExecAction,
    GrpcAction,
    HookAction,
    HttpAction,
    Port,
    Probe,
    ProbeAction,
    Resources,
    Security,
    SleepAction,
)

Json = dict[str, Any]


def literal(text: str) -> str:
    """A text that expands to `text`: $$ stands for $, before a parenthesis or another dollar (third_party/forked/golang/expansion)."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def container_object(container: Container, resource_names: Mapping[str, str]) -> Json:
    """One v1.Container, without fields that are not set, and with those that the API server would fill in."""
    fields: Json = {
        "name": container.name,
        "image": container.image,
        "imagePullPolicy": container.image_pull_policy,
        "terminationMessagePath": container.termination_message_path,
        "terminationMessagePolicy": "FallbackToLogsOnError" if container.termination_message_fallback else "File",
    }
    optional: Json = {
        "command": [literal(word) for word in container.command or ()],
        "args": [literal(word) for word in container.args or ()],
        "workingDir": container.working_dir,
        "env": [{"name": name, "value": literal(value)} for name, value in container.env.items()],
        "ports": [_port(port) for port in container.ports],
        "resources": _without_empty(
            {"requests": quantities(container.requests, resource_names), "limits": quantities(container.limits, resource_names)}
        ),
        "volumeMounts": [
            _without_empty(
                {
                    "name": mount.volume,
                    "mountPath": mount.path,
                    "readOnly": mount.read_only,
                    "subPath": mount.sub_path,
                    "mountPropagation": mount.propagation,
                }
            )
            for mount in container.mounts
        ],
        "startupProbe": container.startup_probe and _probe(container.startup_probe),
        "readinessProbe": container.readiness_probe and _probe(container.readiness_probe),
        "livenessProbe": container.liveness_probe and _probe(container.liveness_probe),
        "lifecycle": _lifecycle(container),
        "securityContext": _security(container.security),
        "tty": container.tty,
        "stdin": container.stdin,
        "stdinOnce": container.stdin_once,
        "restartPolicy": "Always" if container.sidecar else "",
    }
    return fields | _without_empty(optional)


def quantities(resources: Resources, names: Mapping[str, str]) -> dict[str, str]:
    """v1.ResourceList. `names`: Workload's name of a resource -> its name on the remote nodes."""
    amounts = {
        "cpu": None if resources.cpu_millis is None else f"{resources.cpu_millis}m",
        "memory": resources.memory_bytes,
        "ephemeral-storage": resources.ephemeral_storage_bytes,
        **{names.get(name, name): count for name, count in resources.devices.items()},
    }
    return {name: str(amount) for name, amount in amounts.items() if amount is not None}


def _port(port: Port) -> Json:
    return {"containerPort": port.container_port, "protocol": port.protocol} | _without_empty(
        {"name": port.name, "hostPort": port.host_port, "hostIP": port.host_ip}
    )


def _probe(probe: Probe) -> Json:
    fields: Json = {
        **_action(probe.action),
        "initialDelaySeconds": probe.initial_delay_seconds,
        "periodSeconds": probe.period_seconds,
        "timeoutSeconds": probe.timeout_seconds,
        "successThreshold": probe.success_threshold,
        "failureThreshold": probe.failure_threshold,
    }
    if probe.grace_seconds is not None:
        fields["terminationGracePeriodSeconds"] = probe.grace_seconds
    return fields


def _action(action: ProbeAction | HookAction) -> Json:
    if isinstance(action, ExecAction):
        return {"exec": {"command": list(action.command)}}
    if isinstance(action, HttpAction):
        headers = [{"name": name, "value": value} for name, value in action.headers]
        always = {"port": action.port, "path": action.path, "scheme": action.scheme}
        return {"httpGet": always | _without_empty({"host": action.host, "httpHeaders": headers})}
    if isinstance(action, GrpcAction):
        return {"grpc": {"port": action.port, "service": action.service}}
    if isinstance(action, SleepAction):
        return {"sleep": {"seconds": action.seconds}}
    return {"tcpSocket": {"port": action.port} | _without_empty({"host": action.host})}


def _lifecycle(container: Container) -> Json:
    return _without_empty(
        {
            "postStart": container.post_start and _action(container.post_start),
            "preStop": container.pre_stop and _action(container.pre_stop),
            "stopSignal": container.stop_signal,
        }
    )


def _security(security: Security) -> Json:
    """v1.SecurityContext of a container; the pod's own settings are merged into `security` already."""
    fields: Json = _without_empty(
        {
            "runAsNonRoot": security.run_as_non_root,
            "privileged": security.privileged,
            "readOnlyRootFilesystem": security.read_only_root_filesystem,
            "capabilities": _without_empty({"add": list(security.capabilities_add), "drop": list(security.capabilities_drop)}),
            "seccompProfile": _profile(security.seccomp_type, security.seccomp_profile),
        }
    )
    kind, _, local = security.apparmor_profile.partition("/")
    if kind:
        fields["appArmorProfile"] = _profile("Localhost" if local else kind, local)
    numbers = {
        "runAsUser": security.run_as_user,
        "runAsGroup": security.run_as_group,
        "allowPrivilegeEscalation": security.allow_privilege_escalation,
    }
    return fields | {name: value for name, value in numbers.items() if value is not None}


def _profile(kind: str, local: str) -> Json:
    return _without_empty({"type": kind, "localhostProfile": local})


def _without_empty(values: Json) -> Json:
    return {name: value for name, value in values.items() if value not in (None, "", False, [], {}, ())}
