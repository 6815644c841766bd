"""Carries out one action over the runtime seam and tells how it went."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from interlink_common.agent.probing import LIFECYCLE_AGENT, PROBE_AGENT, Verdict, run
from interlink_common.agent.runtime import Runtime, RuntimeUnavailable, StartError
from interlink_common.lifecycle.actions import (
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
from interlink_common.model.workload import Container, Workload

NO_LIMIT_SECONDS = 365 * 86400.0
"""For postStart hooks: the kubelet waits for them without limit."""


async def perform(runtime: Runtime, pod: Workload, action: Action, timing: Timing, on_progress: Callable[[str, str], None]) -> Outcome:
    """The action's outcome; `on_progress` gets container name and words while an image is pulled. Raises RuntimeUnavailable."""
    try:
        if isinstance(action, EnsureImage):
            await _pull(runtime, pod, pod.container(action.container), timing, on_progress)
        elif isinstance(action, (RunHook, RunProbe)):
            verdict = await _ask(runtime, pod, action)
            return Outcome(action, ok=verdict.ok, message=verdict.message)
        elif isinstance(action, CheckStorage):
            excess = await runtime.excess(pod)
            return Outcome(action, ok=not excess, message=excess)
        else:
            await _change(runtime, pod, action)
    except StartError as error:
        return Outcome(action, ok=False, reason=error.reason, message=error.message)
    return Outcome(action)


async def _change(runtime: Runtime, pod: Workload, action: Action) -> None:
    if isinstance(action, Prepare):
        await runtime.prepare(pod)
    elif isinstance(action, StartAttempt):
        await runtime.start(pod, pod.container(action.container), action.attempt, action.backoff_seconds)
    elif isinstance(action, Kill):
        await runtime.kill(pod, action.container, action.attempt, action.signal)
    elif isinstance(action, Prune):
        await runtime.prune(pod, action.container, action.before_attempt)


async def _pull(runtime: Runtime, pod: Workload, container: Container, timing: Timing, on_progress: Callable[[str, str], None]) -> None:
    pull = asyncio.ensure_future(runtime.ensure_image(pod, container))
    told = ""
    try:
        while not (await asyncio.wait({pull}, timeout=timing.progress_seconds))[0]:
            with contextlib.suppress(RuntimeUnavailable):
                words = await runtime.pull_progress(pod, container)
                if words != told:
                    told = words
                    on_progress(container.name, words)
        await pull
    finally:
        if not pull.done():
            pull.cancel()
            await asyncio.gather(pull, return_exceptions=True)


async def _ask(runtime: Runtime, pod: Workload, action: RunHook | RunProbe) -> Verdict:
    container = pod.container(action.container)
    if isinstance(action, RunHook):
        hook = container.post_start if action.hook == POST_START else container.pre_stop
        if hook is None:
            return Verdict(True)
        limit = action.timeout_seconds or NO_LIMIT_SECONDS
        return await run(runtime, pod, action.container, action.attempt, hook, timeout_seconds=limit, user_agent=LIFECYCLE_AGENT)
    probe = probe_of(container, action.kind)
    if probe is None:
        return Verdict(True)
    limit = probe.timeout_seconds
    return await run(runtime, pod, action.container, action.attempt, probe.action, timeout_seconds=limit, user_agent=PROBE_AGENT)
