"""One container of the pod, translated. Init containers first check what only a sidecar may have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from interlink_common.contract import containers as wire
from interlink_common.contract.pod import PodSecurityContext
from interlink_common.model.workload import Container, Port, Volume
from interlink_common.translation.checks import absolute, bounded, check_address, check_text, check_unique, invalid, refused
from interlink_common.translation.downward import DownwardApi
from interlink_common.translation.environment import environment, valueless
from interlink_common.translation.expansion import arguments
from interlink_common.translation.mounts import mounts
from interlink_common.translation.probes import hook, probe
from interlink_common.translation.security import security

_IMAGE = re.compile(r"[!-~]{1,1024}")
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_STOP_SIGNAL = re.compile(r"SIG[A-Z0-9+-]{1,12}")
_TERMINATION_LOG = "/dev/termination-log"


@dataclass(frozen=True)
class ContainerTranslator:
    """Translates the containers of one pod, whose names were checked and whose resources `downward` holds."""

    downward: DownwardApi
    volumes: Mapping[str, Volume]
    pod_security: PodSecurityContext | None
    unexpanded: bool

    def container(self, source: wire.Container, where: str, *, init: bool) -> tuple[Container, tuple[str, ...]]:
        """(the container, warnings). `where` is its path, e.g. pod.spec.containers[0]. Raises BadRequest, Refused."""
        sidecar = _is_sidecar(source, where, init)
        if init and not sidecar:
            _check_plain_init(source, where)
        if source.env_from:
            raise refused(f"{where}.envFrom", "must have been resolved by the virtual kubelet")
        env = environment(source.env or (), where, source.name, self.downward, unexpanded=self.unexpanded)
        effective = security(self.pod_security, source.security_context, where)
        made_ports = ports(source.ports or (), where)
        lifecycle = source.lifecycle or wire.Lifecycle()
        requests, limits = self.downward.resources[source.name]
        image = _image(source, where)
        container = Container(
            name=source.name,
            image=image,
            command=arguments(source.command, env, f"{where}.command"),
            args=arguments(source.args, env, f"{where}.args"),
            working_dir=check_text(source.working_dir or "", f"{where}.workingDir"),
            env=env,
            mounts=mounts(source.volume_mounts or (), self.volumes, env, privileged=effective.privileged, where=where),
            requests=requests,
            limits=limits,
            ports=made_ports,
            startup_probe=probe(source.startup_probe, "startup", made_ports, where),
            readiness_probe=probe(source.readiness_probe, "readiness", made_ports, where),
            liveness_probe=probe(source.liveness_probe, "liveness", made_ports, where),
            post_start=hook(lifecycle.post_start, made_ports, f"{where}.lifecycle.postStart"),
            pre_stop=hook(lifecycle.pre_stop, made_ports, f"{where}.lifecycle.preStop"),
            stop_signal=_one_of(lifecycle.stop_signal, _STOP_SIGNAL, f"{where}.lifecycle.stopSignal"),
            image_pull_policy=_pull_policy(source.image_pull_policy, image, where),
            termination_message_path=_termination_message_path(source, where),
            termination_message_fallback=_falls_back_to_logs(source.termination_message_policy, where),
            tty=bool(source.tty),
            stdin=bool(source.stdin),
            stdin_once=bool(source.stdin_once),
            security=effective,
            sidecar=sidecar,
        )
        return container, self._warnings(source)

    def _warnings(self, source: wire.Container) -> tuple[str, ...]:
        lost = valueless(source.env or ()) if self.unexpanded else []
        if not lost:
            return ()
        return (
            f"container {source.name}: environment {', '.join(lost)} arrived without a value, which may be lost:"
            " interLink drops references to labels, spec.nodeName and status.hostIP",
        )


def ports(sources: Sequence[wire.ContainerPort], where: str) -> tuple[Port, ...]:
    """The ports of one container. Raises BadRequest."""
    made: list[Port] = []
    for index, source in enumerate(sources):
        field = f"{where}.ports[{index}]"
        protocol = source.protocol or "TCP"
        if protocol not in ("TCP", "UDP", "SCTP"):
            raise invalid(f"{field}.protocol", "must be TCP, UDP or SCTP")
        made.append(
            Port(
                container_port=bounded(source.container_port, 1, 65535, f"{field}.containerPort"),
                protocol=protocol,
                name=_one_of(source.name, _PORT_NAME, f"{field}.name"),
                host_port=bounded(source.host_port, 1, 65535, f"{field}.hostPort") if source.host_port else None,
                host_ip=check_address(source.host_ip, f"{field}.hostIP") if source.host_ip else "",
            )
        )
    check_unique((port.name for port in made if port.name), f"{where}.ports", "ports")
    return tuple(made)


def _is_sidecar(source: wire.Container, where: str, init: bool) -> bool:
    if source.restart_policy is None:
        return False
    if not init or source.restart_policy != "Always":
        raise refused(f"{where}.restartPolicy", "is supported only as Always, on init containers")
    return True


def _check_plain_init(source: wire.Container, where: str) -> None:
    """Source: kubernetes validation.go, validateInitContainers."""
    for name, value in (
        ("startupProbe", source.startup_probe),
        ("readinessProbe", source.readiness_probe),
        ("livenessProbe", source.liveness_probe),
        ("lifecycle", source.lifecycle),
    ):
        if value is not None:
            raise invalid(f"{where}.{name}", "must not be set on an init container without restartPolicy Always")


def _image(source: wire.Container, where: str) -> str:
    if not _IMAGE.fullmatch(source.image or ""):
        raise invalid(f"{where}.image", "must name an image, without spaces")
    return source.image or ""


def _pull_policy(policy: str | None, image: str, where: str) -> str:
    """As the API server defaults it: Always for the tag latest or none (SetDefaults_Container)."""
    if not policy:
        name, _, tag = image.rpartition("/")[2].partition(":")
        return "Always" if "@" not in name and tag in ("", "latest") else "IfNotPresent"
    if policy not in ("Always", "IfNotPresent", "Never"):
        raise invalid(f"{where}.imagePullPolicy", "must be Always, IfNotPresent or Never")
    return policy


def _termination_message_path(source: wire.Container, where: str) -> str:
    field = f"{where}.terminationMessagePath"
    path = absolute(source.termination_message_path or _TERMINATION_LOG, field)
    if path == "/":
        raise invalid(field, "must name a file")
    return path


def _falls_back_to_logs(policy: str | None, where: str) -> bool:
    if policy not in (None, "", "File", "FallbackToLogsOnError"):
        raise invalid(f"{where}.terminationMessagePolicy", "must be File or FallbackToLogsOnError")
    return policy == "FallbackToLogsOnError"


def _one_of(value: str | None, pattern: re.Pattern[str], field: str) -> str:
    if value and not pattern.fullmatch(value):
        raise invalid(field, "is not a valid name")
    return value or ""
