"""Performs one action over the runtime seam and says how it went.

Probes and hooks: exec in the container, httpGet, tcpSocket and grpc over the network, sleep.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from interlink_common.agent import grpc_health
from interlink_common.agent.http_get import get_status
from interlink_common.agent.runtime import Runtime, RuntimeUnavailable, StartError
from interlink_common.lifecycle.interface import (
    POST_START,
    Action,
    CheckStorage,
    EnsureImage,
    Kill,
    Outcome,
    Prepare,
    Prune,
    RunHook,
    RunProbe,
    StartAttempt,
)
from interlink_common.lifecycle.probing import probe_of
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.workload import (
    Container,
    ExecAction,
    GrpcAction,
    HookAction,
    HttpAction,
    ProbeAction,
    TcpAction,
    Workload,
)

PROBE_AGENT, LIFECYCLE_AGENT = "kube-probe/1.35", "kube-lifecycle/1.35"
MESSAGE_CHARACTERS = 1024
NO_LIMIT_SECONDS = 365 * 86400.0
"""For postStart hooks: the kubelet waits for them without limit."""


async def perform(runtime: Runtime, workload: Workload, action: Action, timing: Timing, on_progress: Callable[[str, str], None]) -> Outcome:
    """The action's outcome; `on_progress` gets the container's name and a pull's progress in words. Raises RuntimeUnavailable."""
    try:
        if isinstance(action, EnsureImage):
            await _pull(runtime, workload, workload.container(action.container), timing, on_progress)
        elif isinstance(action, (RunHook, RunProbe)):
            result = await _run_probe_or_hook(runtime, workload, action)
            return Outcome(action, ok=result.ok, message=result.message)
        elif isinstance(action, CheckStorage):
            excess = await runtime.storage_excess(workload)
            return Outcome(action, ok=not excess, message=excess)
        else:
            await _perform_change(runtime, workload, action)
    except StartError as error:
        return Outcome(action, ok=False, reason=error.reason, message=error.message)
    return Outcome(action)


async def _perform_change(runtime: Runtime, workload: Workload, action: Action) -> None:
    if isinstance(action, Prepare):
        await runtime.prepare(workload)
    elif isinstance(action, StartAttempt):
        await runtime.start(workload, workload.container(action.container), action.attempt, action.backoff_seconds)
    elif isinstance(action, Kill):
        await runtime.kill(workload, action.container, action.attempt, action.signal)
    elif isinstance(action, Prune):
        await runtime.prune(workload, action.container, action.before_attempt)


async def _pull(
    runtime: Runtime, workload: Workload, container: Container, timing: Timing, on_progress: Callable[[str, str], None]
) -> None:
    pull = asyncio.ensure_future(runtime.ensure_image(workload, container))
    last_words = ""
    try:
        while not (await asyncio.wait({pull}, timeout=timing.progress_seconds))[0]:
            with contextlib.suppress(RuntimeUnavailable):
                words = await runtime.pull_progress(workload, container)
                if words != last_words:
                    last_words = words
                    on_progress(container.name, words)
        await pull
    finally:
        if not pull.done():
            pull.cancel()
            await asyncio.gather(pull, return_exceptions=True)


async def _run_probe_or_hook(runtime: Runtime, workload: Workload, action: RunHook | RunProbe) -> HandlerResult:
    container = workload.container(action.container)
    if isinstance(action, RunHook):
        hook = container.post_start if action.hook == POST_START else container.pre_stop
        if hook is None:
            return HandlerResult(True)
        limit = action.timeout_seconds or NO_LIMIT_SECONDS
        return await run_handler(
            runtime, workload, action.container, action.attempt, hook, timeout_seconds=limit, user_agent=LIFECYCLE_AGENT
        )
    probe = probe_of(container, action.kind)
    if probe is None:
        return HandlerResult(True)
    limit = probe.timeout_seconds
    return await run_handler(
        runtime, workload, action.container, action.attempt, probe.action, timeout_seconds=limit, user_agent=PROBE_AGENT
    )


@dataclass(frozen=True)
class HandlerResult:
    ok: bool
    message: str = ""


async def run_handler(
    runtime: Runtime,
    workload: Workload,
    container: str,
    attempt: int,
    action: ProbeAction | HookAction,
    *,
    timeout_seconds: float,
    user_agent: str,
) -> HandlerResult:
    """How the probe or hook ended. Raises RuntimeUnavailable only: whatever the pod answers, it is an answer."""
    try:
        if isinstance(action, ExecAction):
            done = await runtime.execute(workload, container, attempt, action.command, timeout_seconds)
            result = HandlerResult(True) if done.exit_code == 0 else HandlerResult(False, f"exit code {done.exit_code}: {done.output}")
        else:
            result = await asyncio.wait_for(_over_network(runtime, workload, action, user_agent), timeout_seconds)
    except (TimeoutError, asyncio.TimeoutError):
        result = HandlerResult(False, f"timed out after {timeout_seconds:g} s")
    except (OSError, EOFError, ValueError) as error:
        result = HandlerResult(False, str(error) or type(error).__name__)
    return HandlerResult(result.ok, " ".join(result.message.split())[:MESSAGE_CHARACTERS])


async def _over_network(runtime: Runtime, workload: Workload, action: ProbeAction | HookAction, user_agent: str) -> HandlerResult:
    if isinstance(action, HttpAction):
        status = await get_status(action, action.host or await runtime.address(workload), user_agent)
        if user_agent == LIFECYCLE_AGENT or 200 <= status < 400:
            return HandlerResult(True)  # a hook asks for an answer only (kubelet: runHTTPHandler)
        return HandlerResult(False, f"HTTP probe failed with statuscode: {status}")
    if isinstance(action, TcpAction):
        _, writer = await asyncio.open_connection(action.host or await runtime.address(workload), action.port)
        writer.close()
        return HandlerResult(True)
    if isinstance(action, GrpcAction):
        status_name = await grpc_health.check(await runtime.address(workload), action.port, action.service)
        return HandlerResult(status_name == grpc_health.SERVING, f"service answers {status_name}")
    if not isinstance(action, ExecAction):
        await asyncio.sleep(action.seconds)
    return HandlerResult(True)
