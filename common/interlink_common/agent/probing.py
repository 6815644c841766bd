"""Probe and hook actions, carried out: exec in the container, httpGet, tcpSocket and grpc over the network, sleep."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from interlink_common.agent import grpc_health
from interlink_common.agent.http_get import get_status
from interlink_common.agent.runtime import Runtime
from interlink_common.model.workload import ExecAction, GrpcAction, HookAction, HttpAction, ProbeAction, TcpAction, Workload

PROBE_AGENT, LIFECYCLE_AGENT = "kube-probe/1.35", "kube-lifecycle/1.35"
MESSAGE_CHARACTERS = 1024


@dataclass(frozen=True)
class Verdict:
    ok: bool
    message: str = ""


async def run(
    runtime: Runtime,
    pod: Workload,
    container: str,
    attempt: int,
    action: ProbeAction | HookAction,
    *,
    timeout_seconds: float,
    user_agent: str,
) -> Verdict:
    """How the action ended. Never raises but RuntimeUnavailable: whatever the pod answers, it is an answer."""
    try:
        if isinstance(action, ExecAction):
            result = await runtime.execute(pod, container, attempt, action.command, timeout_seconds)
            verdict = Verdict(True) if result.exit_code == 0 else Verdict(False, f"exit code {result.exit_code}: {result.output}")
        else:
            verdict = await asyncio.wait_for(_over_network(runtime, pod, action, user_agent), timeout_seconds)
    except (TimeoutError, asyncio.TimeoutError):
        verdict = Verdict(False, f"timed out after {timeout_seconds:g} s")
    except (OSError, EOFError, ValueError) as error:
        verdict = Verdict(False, str(error) or type(error).__name__)
    return Verdict(verdict.ok, " ".join(verdict.message.split())[:MESSAGE_CHARACTERS])


async def _over_network(runtime: Runtime, pod: Workload, action: ProbeAction | HookAction, user_agent: str) -> Verdict:
    if isinstance(action, HttpAction):
        status = await get_status(action, action.host or await runtime.address(pod), user_agent)
        if user_agent == LIFECYCLE_AGENT or 200 <= status < 400:
            return Verdict(True)  # a hook asks for an answer only (kubelet: runHTTPHandler)
        return Verdict(False, f"HTTP probe failed with statuscode: {status}")
    if isinstance(action, TcpAction):
        _, writer = await asyncio.open_connection(action.host or await runtime.address(pod), action.port)
        writer.close()
        return Verdict(True)
    if isinstance(action, GrpcAction):
        status_name = await grpc_health.check(await runtime.address(pod), action.port, action.service)
        return Verdict(status_name == grpc_health.SERVING, f"service answers {status_name}")
    if not isinstance(action, ExecAction):
        await asyncio.sleep(action.seconds)
    return Verdict(True)
