"""Probes and lifecycle hooks with Kubernetes' defaults filled in and named ports resolved to numbers.

Source: kubernetes `pkg/apis/core/v1/defaults.go` (SetDefaults_Probe) and `validation.go` (validateProbe, validateHandler).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from interlink_common.contract import containers as wire
from interlink_common.model.workload import ExecAction, GrpcAction, HookAction, HttpAction, Port, Probe, ProbeAction, SleepAction, TcpAction
from interlink_common.translation.checks import bounded, check_text, invalid, refused

_INT32 = 2**31 - 1
_Action = TypeVar("_Action")


def probe(source: wire.Probe | None, kind: str, ports: Sequence[Port], where: str) -> Probe | None:
    """The probe of that kind (startup, readiness, liveness) of a container with those ports. Raises BadRequest, Refused."""
    if source is None:
        return None
    where = f"{where}.{kind}Probe"
    success_threshold = _positive(source.success_threshold, 1, f"{where}.successThreshold")
    if kind != "readiness" and success_threshold != 1:
        raise invalid(f"{where}.successThreshold", "must be 1 for this kind of probe")
    grace_seconds = source.termination_grace_period_seconds
    if grace_seconds is not None and (kind == "readiness" or not 1 <= grace_seconds <= _INT32):
        raise invalid(f"{where}.terminationGracePeriodSeconds", "must be a positive number, and never set for readiness")
    actions: list[ProbeAction] = [*_common_actions(source, ports, where)]
    if source.grpc is not None:
        service = check_text(source.grpc.service or "", f"{where}.grpc.service")
        actions.append(GrpcAction(_port(source.grpc.port, ports, f"{where}.grpc.port"), service))
    return Probe(
        action=_exactly_one(actions, where),
        initial_delay_seconds=bounded(source.initial_delay_seconds or 0, 0, _INT32, f"{where}.initialDelaySeconds"),
        period_seconds=_positive(source.period_seconds, 10, f"{where}.periodSeconds"),
        timeout_seconds=_positive(source.timeout_seconds, 1, f"{where}.timeoutSeconds"),
        success_threshold=success_threshold,
        failure_threshold=_positive(source.failure_threshold, 3, f"{where}.failureThreshold"),
        grace_seconds=grace_seconds,
    )


def hook(source: wire.LifecycleHandler | None, ports: Sequence[Port], where: str) -> HookAction | None:
    """A postStart or preStop hook. Raises BadRequest, Refused."""
    if source is None:
        return None
    actions: list[HookAction] = [*_common_actions(source, ports, where)]
    if source.sleep is not None:
        actions.append(SleepAction(bounded(source.sleep.seconds, 0, _INT32, f"{where}.sleep.seconds")))
    return _exactly_one(actions, where)


def _common_actions(source: wire.Handler, ports: Sequence[Port], where: str) -> list[ExecAction | HttpAction | TcpAction]:
    actions: list[ExecAction | HttpAction | TcpAction] = []
    if source.exec is not None:
        if not source.exec.command:
            raise invalid(f"{where}.exec.command", "must not be empty")
        actions.append(ExecAction(tuple(check_text(word, f"{where}.exec.command") for word in source.exec.command)))
    if source.http_get is not None:
        actions.append(_http(source.http_get, ports, f"{where}.httpGet"))
    if source.tcp_socket is not None:
        host = _one_line(source.tcp_socket.host or "", f"{where}.tcpSocket.host")
        actions.append(TcpAction(_port(source.tcp_socket.port, ports, f"{where}.tcpSocket.port"), host))
    return actions


def _http(source: wire.HttpGetAction, ports: Sequence[Port], where: str) -> HttpAction:
    scheme = (source.scheme or "HTTP").upper()
    if scheme not in ("HTTP", "HTTPS"):
        raise invalid(f"{where}.scheme", "must be HTTP or HTTPS")
    headers = tuple(
        (_one_line(h.name, f"{where}.httpHeaders.name"), _one_line(h.value or "", f"{where}.httpHeaders.value"))
        for h in source.http_headers or ()
    )
    return HttpAction(
        port=_port(source.port, ports, f"{where}.port"),
        path="/" + _one_line(source.path or "", f"{where}.path").removeprefix("/"),
        host=_one_line(source.host or "", f"{where}.host"),
        scheme=scheme,
        headers=headers,
    )


def _port(value: str | int, ports: Sequence[Port], field: str) -> int:
    if isinstance(value, str):
        named = [port.container_port for port in ports if port.name == value]
        if named:
            return named[0]
        if not (value.isascii() and value.isdigit() and len(value) <= 5):
            raise invalid(field, "names no port of this container: add it to ports or give a number")
    return bounded(int(value), 1, 65535, field)


def _positive(value: int | None, default: int, field: str) -> int:
    """0 means the default, as in the API server."""
    return bounded(value or default, 1, _INT32, field)


def _one_line(value: str, field: str) -> str:
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
        raise invalid(field, "must not contain control characters")
    return value


def _exactly_one(actions: Sequence[_Action], where: str) -> _Action:
    if not actions:
        raise refused(where, "has no action of a known kind")
    if len(actions) > 1:
        raise invalid(where, "must have exactly one action")
    return actions[0]
