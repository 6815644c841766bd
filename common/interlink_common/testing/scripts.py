"""Jobs that run in memory: each container does what the script in its own command says, so that a pod travels as any other.

Enough of a kubelet to be believed (inits in order, sidecars, restart policies), and no more: no probes, no hooks, no files.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import ALWAYS, NEVER, Container, Workload

_KILLED, _STOPPED, _NEVER_STARTED = 137, 143, 128
BACKOFF_SECONDS = 0.05


@dataclass(frozen=True)
class Script:
    """What one container does each time it is started: print lines, run on, end.

    `seconds` is how long it runs after its lines (None: until it is stopped); `line_seconds` the pause before each line;
    `exit_codes` those of its attempts, the last for all that follow. `stop_seconds` is how long it takes to stop.
    """

    lines: tuple[str, ...] = ()
    seconds: float | None = 0.0
    line_seconds: float = 0.0
    exit_codes: tuple[int, ...] = (0,)
    message: str = ""
    stop_seconds: float = 0.0

    def command(self) -> list[str]:
        """The v1.Container command that carries this script."""
        return ["script", msgspec.json.encode(self).decode()]

    @classmethod
    def of(cls, container: Container) -> Script:
        """The script in a container's command; one without ends at once with 0."""
        command = container.command or ()
        if len(command) != 2 or command[0] != "script":
            return cls()
        return msgspec.json.decode(command[1], type=cls)


@dataclass
class Attempt:
    """One run of one container. Times are unix seconds, those of lines unix nanoseconds."""

    started_at: float
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    ended: Terminated | None = None


class ScriptedJob:
    """One pod on the site: init containers in order, sidecars beside them, then the mains, each as its restart policy says."""

    def __init__(self, workload: Workload, jid: str, pulse: Callable[[], None]) -> None:
        """Starts at once. `pulse` is called after every change."""
        self.workload, self.jid = workload, jid
        self.attempts: dict[str, list[Attempt]] = {container.name: [] for container in workload.all_containers}
        self.finished = False
        self._pulse = pulse
        self._backing_off: set[str] = set()
        self._stop = asyncio.Event()
        self._never_started = ""
        self._task = asyncio.create_task(self._run(), name=f"scripted-{workload.name}")

    async def stop(self, grace_seconds: float) -> None:
        """TERM to all, KILL after the grace; returns when nothing runs."""
        self._stop.set()
        await asyncio.wait([self._task], timeout=grace_seconds)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._end_all(_KILLED)

    def report(self) -> PodReport:
        return PodReport(
            containers=tuple(self._report(container) for container in self.workload.containers),
            init_containers=tuple(self._report(container) for container in self.workload.init_containers),
            finished=self.finished,
        )

    def former_attempts(self, container: str) -> list[Attempt]:
        """Those that ended, but for the one that is the container's own state."""
        attempts = self.attempts.get(container, [])
        return attempts if container in self._backing_off else attempts[:-1]

    def _report(self, container: Container) -> ContainerReport:
        attempts = self.attempts[container.name]
        last = attempts[-1] if attempts else None
        state: ContainerState
        if last is None:
            state = Terminated(_NEVER_STARTED, "", self._never_started) if self._never_started else Waiting("PodInitializing")
        elif container.name in self._backing_off:
            state = Waiting("CrashLoopBackOff", "the next attempt follows")
        else:
            state = last.ended or Running(last.started_at)
        former = self.former_attempts(container.name)
        return ContainerReport(
            name=container.name,
            state=state,
            last_state=former[-1].ended if former else None,
            ready=isinstance(state, Running),
            started=isinstance(state, Running),
            restart_count=max(len(attempts) - 1, 0),
            image=container.image,
            image_id=f"scripted@{container.image}",
            container_id=f"scripted://{self.jid}/{container.name}/{len(attempts) - 1}" if attempts else "",
        )

    async def _run(self) -> None:
        beside: list[asyncio.Task[bool]] = []
        try:
            for container in self.workload.init_containers:
                if container.sidecar:
                    beside.append(asyncio.create_task(self._container(container, ALWAYS)))
                elif not await self._container(container, NEVER if self.workload.restart_policy == NEVER else "OnFailure"):
                    self._never_started = f"init container {container.name} failed"
                    break
            else:
                await asyncio.gather(*(self._container(container, self.workload.restart_policy) for container in self.workload.containers))
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        self.finished = True
        self._end_all(_STOPPED)

    def _end_all(self, code: int) -> None:
        for attempts in self.attempts.values():
            if attempts and attempts[-1].ended is None:
                attempts[-1].ended = _ended(attempts[-1], code, "")
        self._pulse()

    async def _container(self, container: Container, policy: str) -> bool:
        """Runs attempts until the policy asks for no more; true if the last one succeeded."""
        script = Script.of(container)
        while not self._stop.is_set():
            number = len(self.attempts[container.name])
            code = await self._attempt(container, script, script.exit_codes[min(number, len(script.exit_codes) - 1)])
            if self._stop.is_set() or policy == NEVER or (policy != ALWAYS and code == 0):
                return code == 0
            self._backing_off.add(container.name)
            self._pulse()
            await self._pause(BACKOFF_SECONDS)
            self._backing_off.discard(container.name)
        return False

    async def _attempt(self, container: Container, script: Script, exit_code: int) -> int:
        attempt = Attempt(time.time())
        self.attempts[container.name].append(attempt)
        self._pulse()
        stopped = False
        for line in script.lines:
            stopped = stopped or await self._pause(script.line_seconds)
            attempt.lines.append((time.time_ns(), line.encode() + b"\n"))
            self._pulse()
        stopped = stopped or await self._pause(script.seconds)
        if stopped:
            await asyncio.sleep(script.stop_seconds)
        code = _STOPPED if stopped else exit_code
        attempt.ended = _ended(attempt, code, script.message)
        self._pulse()
        return code

    async def _pause(self, seconds: float | None) -> bool:
        """Waits that long (None: for ever) or until the stop; true if it was stopped."""
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _ended(attempt: Attempt, code: int, message: str) -> Terminated:
    return Terminated(code, "Error" if code else "Completed", message, attempt.started_at, time.time())
