"""What is asked of a running container: its postStart hook first, then the startup probe, then readiness and liveness.

Source: Kubernetes "Configure Liveness, Readiness and Startup Probes" and the kubelet's prober worker: a result counts once its
threshold of equal results in a row is reached; liveness begins as passed, readiness as failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Optional

from interlink_common.lifecycle.interface import (
    LIVENESS,
    POST_START,
    READINESS,
    RUNNING,
    STARTUP,
    AttemptStatus,
    Outcome,
    RunHook,
    RunProbe,
)
from interlink_common.lifecycle.memory import PodMemory, ProbeState
from interlink_common.lifecycle.sync import Sync
from interlink_common.model.workload import NEVER, Container, Probe


def probe_of(container: Container, kind: str) -> Optional[Probe]:
    return {STARTUP: container.startup_probe, READINESS: container.readiness_probe, LIVENESS: container.liveness_probe}[kind]


def is_started(memory: PodMemory, container: Container) -> bool:
    """v1.ContainerStatus.started: running, postStart done, startup probe passed."""
    latest = memory.latest(container.name)
    return latest is not None and latest.state == RUNNING and _hook_done(memory, container, latest) and _passed_startup(memory, container)


def is_ready(memory: PodMemory, container: Container) -> bool:
    """v1.ContainerStatus.ready of a running container; one that is being ended is not."""
    latest = memory.latest(container.name)
    if latest is None or not is_started(memory, container) or memory.termination_of(latest) is not None:
        return False
    if container.readiness_probe is None:
        return True
    state = memory.probe(latest, READINESS)
    return state is not None and state.passed is True


def unready_message(memory: PodMemory, container: Container) -> str:
    """Why a running container is not ready, in the words of the kubelet's events; "" if it is ready or does not run."""
    latest = memory.latest(container.name)
    if latest is None or latest.state != RUNNING or is_ready(memory, container):
        return ""
    termination = memory.termination_of(latest)
    if termination is not None:
        return f"Stopping container {container.name}" + (f": {termination.message}" if termination.message else "")
    if not _hook_done(memory, container, latest):
        return "the postStart hook has not ended"
    kind = READINESS if _passed_startup(memory, container) else STARTUP
    state = memory.probe(latest, kind)
    if state is None or state.last or not state.run:
        return f"the {kind} probe has not succeeded"
    return f"{kind.capitalize()} probe failed: {state.message}"


def advance(sync: Sync, container: Container) -> None:
    """Asks for the hook or the probes that are due, and ends the container that failed one."""
    attempt = sync.running(container)
    if attempt is None or sync.memory.termination_of(attempt) is not None:
        return
    done = sync.memory.post_start(attempt)
    if done is not None and done.failure:
        sync.terminate(attempt, sync.workload.grace_seconds, message=f"PostStartHookError: {done.failure}", restart=True)
    elif not _hook_done(sync.memory, container, attempt):
        sync.emit(RunHook(container.name, attempt.attempt, POST_START))
    else:
        for kind, probe in _current(sync.memory, container):
            _advance_probe(sync, attempt, kind, probe)


def learn(memory: PodMemory, container: Container, action: RunProbe, outcome: Outcome) -> PodMemory:
    """Counts one result; what comes after the attempt has ended is ignored."""
    state, probe = memory.probes.get((action.container, action.kind)), probe_of(container, action.kind)
    if state is None or probe is None or state.attempt != action.attempt:
        return memory
    run = state.run + 1 if state.run and state.last == outcome.ok else 1
    threshold = probe.success_threshold if outcome.ok else probe.failure_threshold
    passed = outcome.ok if run >= threshold else state.passed
    state = replace(state, run=run, last=outcome.ok, passed=passed, message=outcome.message)
    return replace(memory, probes={**memory.probes, (action.container, action.kind): state})


def _advance_probe(sync: Sync, attempt: AttemptStatus, kind: str, probe: Probe) -> None:
    key = (attempt.container, kind)
    state = sync.memory.probe(attempt, kind)
    if state is None:
        began = sync.now if attempt.started_at is None else min(attempt.started_at, sync.now)
        state = ProbeState(attempt.attempt, began + probe.initial_delay_seconds)
        sync.remember(probes={**sync.memory.probes, key: state})
    if state.passed is False and kind != READINESS:
        grace = sync.workload.grace_seconds if probe.grace_seconds is None else probe.grace_seconds
        verdict = "failed" if sync.workload.restart_policy == NEVER else "will be restarted, it failed"
        sync.terminate(attempt, grace, message=f"Container {attempt.container} {verdict} its {kind} probe: {state.message}", restart=True)
        return
    action = RunProbe(attempt.container, attempt.attempt, kind)
    if action not in sync.memory.in_flight and sync.due(state.due_at):
        sync.emit(action)
        sync.remember(probes={**sync.memory.probes, key: replace(state, due_at=sync.now + probe.period_seconds)})


def _current(memory: PodMemory, container: Container) -> Iterator[tuple[str, Probe]]:
    kinds = (READINESS, LIVENESS) if _passed_startup(memory, container) else (STARTUP,)
    for kind in kinds:
        probe = probe_of(container, kind)
        if probe is not None:
            yield kind, probe


def _passed_startup(memory: PodMemory, container: Container) -> bool:
    latest = memory.latest(container.name)
    if container.startup_probe is None or latest is None:
        return container.startup_probe is None
    state = memory.probe(latest, STARTUP)
    return state is not None and state.passed is True


def _hook_done(memory: PodMemory, container: Container, attempt: AttemptStatus) -> bool:
    if container.post_start is None:
        return True
    done = memory.post_start(attempt)
    return done is not None and not done.failure
