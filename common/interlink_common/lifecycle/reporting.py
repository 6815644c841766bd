"""Composes the report of a pod: one entry per container, in the workload's order, in the kubelet's words.

interLink overwrites `terminated.reason` and the virtual kubelet writes no events, so every cause is in a message as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from interlink_common.lifecycle import inits, probing
from interlink_common.lifecycle.attempts import FAILING_REASONS, KILLED_CODE
from interlink_common.lifecycle.interface import EXITED, RUNNING, AttemptStatus
from interlink_common.lifecycle.memory import BackOff, PodMemory
from interlink_common.lifecycle.starting import backoff_seconds, wants_restart
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container, Workload

START_FAILURES = ("ContainerCannotRun", "StartError")
"""Reasons of attempts that the runtime could not run; the kubelet's waiting reason for them is RunContainerError."""


def compose_report(workload: Workload, memory: PodMemory, now: float, timing: Timing) -> PodReport:
    """The report of a pod after a decision."""
    composer = _Composer(workload, memory, now, timing)
    return PodReport(
        containers=tuple(composer.entry(container) for container in workload.containers),
        init_containers=tuple(composer.entry(container) for container in workload.init_containers),
        finished=memory.finished,
    )


class _Composer:
    def __init__(self, workload: Workload, memory: PodMemory, now: float, timing: Timing) -> None:
        self._workload = workload
        self._memory = memory
        self._now = now
        self._timing = timing

    def entry(self, container: Container) -> ContainerReport:
        attempts = [entry for entry in self._memory.attempts if entry.container == container.name]
        latest = attempts[-1] if attempts else None
        state = self._state(container, latest)
        ended = [entry for entry in attempts if entry.state == EXITED]
        if isinstance(state, Terminated):
            ended = [entry for entry in ended if entry is not latest]
        return ContainerReport(
            name=container.name,
            state=state,
            last_state=_terminated(ended[-1]) if ended else None,
            ready=probing.is_ready(self._memory, container),
            started=probing.is_started(self._memory, container),
            restart_count=latest.attempt if latest else 0,
            image=container.image,
            image_id=latest.image_id if latest else "",
            container_id=latest.id if latest else "",
            message=probing.unready_message(self._memory, container),
        )

    def _state(self, container: Container, latest: Optional[AttemptStatus]) -> ContainerState:
        if latest is not None and latest.state == RUNNING:
            return Running(self._now if latest.started_at is None else latest.started_at)
        if latest is not None and latest.state == EXITED:
            waits = wants_restart(self._workload, self._memory, container, latest)
            if waits and not self._memory.finished and self._memory.termination is None:
                return self._waiting_to_restart(container, latest)
            return self._ended(latest, has_ended_for_good=not waits)
        return self._never_ran() if self._memory.finished else self._waiting_to_start(container)

    def _ended(self, latest: AttemptStatus, *, has_ended_for_good: bool) -> Terminated:
        """A pod made to fail while this container waited for its next run did not succeed, whatever the last run's code."""
        ended, termination = _terminated(latest), self._memory.termination
        if has_ended_for_good or termination is None or termination.reason not in FAILING_REASONS or ended.exit_code != 0:
            return ended
        return replace(ended, exit_code=KILLED_CODE, reason=termination.reason, message=f"{termination.reason}: {termination.message}")

    def _never_ran(self) -> Terminated:
        termination, culprit = self._memory.termination, inits.failed(self._workload, self._memory)
        if termination is not None:
            return Terminated(KILLED_CODE, termination.reason, f"{termination.reason}: {termination.message}; the container never ran")
        ended = self._memory.latest(culprit.name) if culprit is not None else None
        if ended is None:
            return Terminated(0, "Completed", "the container had ended before the plugin knew of the pod")
        detail = f": {ended.message}" if ended.message else ""
        sentence = f"the container never ran: init container {ended.container} failed with exit code {ended.exit_code}{detail}"
        return Terminated(1, "Error", sentence)

    def _waiting_to_restart(self, container: Container, latest: AttemptStatus) -> Waiting:
        """Between two attempts: the failed next start if there is one, else the back-off."""
        backoff = self._memory.backoffs.get("") or self._memory.backoffs.get(container.name)
        if backoff is not None:
            return self._waiting_for_backoff(container, backoff)
        delay = _duration(backoff_seconds(latest, self._timing))
        full_name = f"{self._workload.name}_{self._workload.namespace}({self._workload.uid})"
        message = f"back-off {delay} restarting failed container={container.name} pod={full_name}"
        if latest.reason in START_FAILURES:
            return Waiting("RunContainerError", f"{message}: {latest.message}")
        return Waiting("CrashLoopBackOff", message)

    def _waiting_to_start(self, container: Container) -> Waiting:
        """Before the first attempt. A main container says what the init container before it is waiting for."""
        blocker = inits.blocking(self._workload, self._memory)
        backoff = self._memory.backoffs.get("") or self._memory.backoffs.get(container.name)
        if backoff is not None:
            return self._waiting_for_backoff(container, backoff)
        if blocker is None or blocker is container:
            reason = "PodInitializing" if container in self._workload.init_containers else "ContainerCreating"
            return Waiting(reason, self._memory.progress.get(container.name, ""))
        blocker_backoff = self._memory.backoffs.get(blocker.name)
        cause = self._waiting_for_backoff(blocker, blocker_backoff) if blocker_backoff is not None else None
        detail = f": {cause.reason}: {cause.message}" if cause is not None else ""
        return Waiting("PodInitializing", f"waiting for init container {blocker.name}{detail}")

    def _waiting_for_backoff(self, container: Container, backoff: BackOff) -> Waiting:
        """The kubelet alternates: ErrImagePull after a failed pull, then ImagePullBackOff until the next."""
        if backoff.reason == "ErrImagePull" and backoff.halfway <= self._now:
            return Waiting("ImagePullBackOff", f"Back-off pulling image {container.image}: ErrImagePull: {backoff.message}")
        return Waiting(backoff.reason, backoff.message)


def _terminated(attempt: AttemptStatus) -> Terminated:
    return Terminated(
        exit_code=KILLED_CODE if attempt.exit_code is None else attempt.exit_code,
        reason=attempt.reason,
        message=attempt.message,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        container_id=attempt.id,
    )


def _duration(seconds: float) -> str:
    """Go's Duration as the kubelet prints it: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
