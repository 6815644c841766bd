"""Composes what is told of a pod: one entry per container, in the workload's order, in the kubelet's words.

interLink overwrites `terminated.reason` and the virtual kubelet writes no events, so every cause is in a message as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Optional

from interlink_common.lifecycle import inits, probing
from interlink_common.lifecycle.ledger import FAILING_STOPS, KILLED_CODE
from interlink_common.lifecycle.memory import Hold, PodMemory
from interlink_common.lifecycle.restarts import backoff_seconds, restarts
from interlink_common.lifecycle.seen import EXITED, RUNNING, Seen
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container, Workload

START_FAILURES = ("ContainerCannotRun", "StartError")
"""Reasons of attempts that the runtime could not run; the kubelet's waiting reason for them is RunContainerError."""


def compose(pod: Workload, memory: PodMemory, now: float, timing: Timing) -> PodReport:
    """The report of a pod after a decision."""
    composer = _Composer(pod, memory, now, timing)
    return PodReport(
        containers=tuple(composer.entry(container) for container in pod.containers),
        init_containers=tuple(composer.entry(container) for container in pod.init_containers),
        finished=memory.finished,
    )


class _Composer:
    def __init__(self, pod: Workload, memory: PodMemory, now: float, timing: Timing) -> None:
        self._pod = pod
        self._memory = memory
        self._now = now
        self._timing = timing

    def entry(self, container: Container) -> ContainerReport:
        attempts = [entry for entry in self._memory.ledger if entry.container == container.name]
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

    def _state(self, container: Container, latest: Optional[Seen]) -> ContainerState:
        if latest is not None and latest.state == RUNNING:
            return Running(self._now if latest.started_at is None else latest.started_at)
        if latest is not None and latest.state == EXITED:
            waits = restarts(self._pod, self._memory, container, latest)
            if waits and not self._memory.finished and self._memory.stop is None:
                return self._between(container, latest)
            return self._ended(latest, settled=not waits)
        return self._never_ran() if self._memory.finished else self._not_yet(container)

    def _ended(self, latest: Seen, *, settled: bool) -> Terminated:
        """A pod made to fail while this container waited for its next run did not succeed, whatever the last run's code."""
        ended, stop = _terminated(latest), self._memory.stop
        if settled or stop is None or stop.reason not in FAILING_STOPS or ended.exit_code != 0:
            return ended
        return replace(ended, exit_code=KILLED_CODE, reason=stop.reason, message=f"{stop.reason}: {stop.message}")

    def _never_ran(self) -> Terminated:
        stop, culprit = self._memory.stop, inits.failed(self._pod, self._memory)
        if stop is not None:
            return Terminated(KILLED_CODE, stop.reason, f"{stop.reason}: {stop.message}; the container never ran")
        ended = self._memory.latest(culprit.name) if culprit is not None else None
        if ended is None:
            return Terminated(0, "Completed", "the container had ended before the plugin knew of the pod")
        told = f": {ended.message}" if ended.message else ""
        sentence = f"the container never ran: init container {ended.container} failed with exit code {ended.exit_code}{told}"
        return Terminated(1, "Error", sentence)

    def _between(self, container: Container, latest: Seen) -> Waiting:
        """Between two attempts: the failed next start if there is one, else the back-off."""
        hold = self._memory.holds.get("") or self._memory.holds.get(container.name)
        if hold is not None:
            return self._held(container, hold)
        delay = _duration(backoff_seconds(latest, self._timing))
        pod = f"{self._pod.name}_{self._pod.namespace}({self._pod.uid})"
        message = f"back-off {delay} restarting failed container={container.name} pod={pod}"
        if latest.reason in START_FAILURES:
            return Waiting("RunContainerError", f"{message}: {latest.message}")
        return Waiting("CrashLoopBackOff", message)

    def _not_yet(self, container: Container) -> Waiting:
        """Before the first attempt. The mains tell what the init container in their way is waiting for."""
        gate = inits.blocking(self._pod, self._memory)
        hold = self._memory.holds.get("") or self._memory.holds.get(container.name)
        if hold is not None:
            return self._held(container, hold)
        if gate is None or gate is container:
            reason = "PodInitializing" if container in self._pod.init_containers else "ContainerCreating"
            return Waiting(reason, self._memory.progress.get(container.name, ""))
        in_its_way = self._memory.holds.get(gate.name)
        cause = self._held(gate, in_its_way) if in_its_way is not None else None
        told = f": {cause.reason}: {cause.message}" if cause is not None else ""
        return Waiting("PodInitializing", f"waiting for init container {gate.name}{told}")

    def _held(self, container: Container, hold: Hold) -> Waiting:
        """The kubelet alternates: ErrImagePull after a failed pull, then ImagePullBackOff until the next."""
        if hold.reason == "ErrImagePull" and hold.halfway <= self._now:
            return Waiting("ImagePullBackOff", f"Back-off pulling image {container.image}: ErrImagePull: {hold.message}")
        return Waiting(hold.reason, hold.message)


def _terminated(attempt: Seen) -> Terminated:
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
