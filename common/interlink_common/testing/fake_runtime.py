"""A container runtime in memory: containers are grains of shell on the loop's clock. With `run_virtually` it takes no time.

`violations` collects what no agent may do, `journal` every call in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from interlink_common.agent.runtime import AttemptStatus, ExecResult, RuntimeUnavailable, StartError
from interlink_common.model.workload import Container, EmptyDirVolume, Workload
from interlink_common.testing import virtual_time
from interlink_common.testing.fake_shell import FakeShell

IDLE = ("sh", "-c", "true")


@dataclass
class _Attempt:
    seen: AttemptStatus
    shell: FakeShell
    files: dict[str, str]
    task: asyncio.Task[None] | None = None


@dataclass
class _Pod:
    workload: Workload
    prepared: bool = False
    shared: dict[str, str] = field(default_factory=dict)
    attempts: dict[tuple[str, int], _Attempt] = field(default_factory=dict)


class FakeRuntime:
    """`agent.runtime.Runtime` for tests. What goes wrong is scripted by filling the public attributes at any time."""

    def __init__(self, *, clock: Callable[[], float] = virtual_time.now, on_event: Callable[[str], None] = lambda _: None) -> None:
        self.clock = clock
        self.on_event = on_event
        self.unavailable = False
        """Every call raises RuntimeUnavailable; containers go on."""
        self.pull_seconds = 0.0
        self.pull_errors: dict[str, list[StartError]] = {}
        """By image: raised one after another, then the pull works."""
        self.start_errors: dict[str, list[StartError]] = {}
        """By container: raised one after another, then the start works."""
        self.prepare_errors: list[StartError] = []
        self.excess_words = ""
        self.journal: list[tuple[str, str, int]] = []
        """(verb, container, attempt), -1 where there is no attempt: start, exit, TERM, KILL, exec, pull, prepare, prune, remove."""
        self.violations: list[str] = []
        self._pods: dict[str, _Pod] = {}

    @property
    def uids(self) -> set[str]:
        """Pods of which something is left."""
        return set(self._pods)

    def vanish(self, uid: str, container: str) -> None:
        """Somebody else removes every attempt of the container."""
        pod = self._pods[uid]
        for key in [key for key in pod.attempts if key[0] == container]:
            self._reap(pod.attempts.pop(key))
        self.on_event(uid)

    async def prepare(self, workload: Workload) -> None:
        mine = self._pod_of(workload)
        self.journal.append(("prepare", "", -1))
        if self.prepare_errors:
            raise self.prepare_errors.pop(0)
        mine.prepared = True

    async def ensure_image(self, workload: Workload, container: Container) -> None:
        self._pod_of(workload)
        self.journal.append(("pull", container.name, -1))
        await asyncio.sleep(self.pull_seconds)
        errors = self.pull_errors.get(container.image)
        if errors:
            raise errors.pop(0)

    async def pull_progress(self, workload: Workload, container: Container) -> str:
        self._pod_of(workload)
        return f"pulling {container.image}"

    async def start(self, workload: Workload, container: Container, attempt: int, backoff_seconds: float) -> None:
        mine = self._pod_of(workload)
        await asyncio.sleep(0)
        errors = self.start_errors.get(container.name)
        if errors:
            raise errors.pop(0)
        if (container.name, attempt) in mine.attempts:
            return
        self._judge_start(mine, container, attempt)
        self.journal.append(("start", container.name, attempt))
        own: dict[str, str] = {}
        files = mine.shared if any(isinstance(workload.volume(m.volume), EmptyDirVolume) for m in container.mounts) else own
        seen = AttemptStatus(container.name, attempt, "running", f"fake://{container.name}-{attempt}", "sha256:fake", self.clock())
        run = _Attempt(replace(seen, backoff_seconds=backoff_seconds), FakeShell(files), files)
        mine.attempts[container.name, attempt] = run
        command = (container.command or IDLE) + (container.args or ())
        run.task = asyncio.create_task(self._live(workload.uid, run, command), name=f"fake {container.name}")
        self.on_event(workload.uid)

    async def kill(self, workload: Workload, container: str, attempt: int, signal: str) -> None:
        run = self._pod_of(workload).attempts.get((container, attempt))
        if run is None or run.seen.state != "running":
            return
        self.journal.append((signal, container, attempt))
        if signal == "TERM":
            run.shell.terminated.set()
        elif run.task is not None:
            run.task.cancel()
            self._exited(workload.uid, run, 137)

    async def execute(self, workload: Workload, container: str, attempt: int, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        run = self._pod_of(workload).attempts.get((container, attempt))
        self.journal.append(("exec", container, attempt))
        if run is None or run.seen.state != "running":
            return ExecResult(126, "the container is not running")
        shell = FakeShell(run.files)
        end = await asyncio.wait_for(shell.run(command), timeout_seconds)
        return ExecResult(end.exit_code, shell.output)

    async def address(self, workload: Workload) -> str:
        self._pod_of(workload)
        return "127.0.0.1"

    async def attempts(self, workload: Workload) -> tuple[AttemptStatus, ...]:
        """Late, as a real runtime's answer is: the states are read first, then it travels."""
        answer = tuple(run.seen for run in self._pod_of(workload, create=False).attempts.values())
        await asyncio.sleep(0)
        return answer

    async def prune(self, workload: Workload, container: str, before_attempt: int) -> None:
        self.journal.append(("prune", container, before_attempt))
        attempts = self._pod_of(workload).attempts
        for key in [key for key in attempts if key[0] == container and key[1] < before_attempt]:
            self._reap(attempts.pop(key))

    async def storage_excess(self, workload: Workload) -> str:
        self._pod_of(workload)
        return self.excess_words

    async def remove(self, workload: Workload) -> None:
        mine = self._pod_of(workload, create=False)
        self.journal.append(("remove", "", -1))
        for run in mine.attempts.values():
            self._reap(run)
        self._pods.pop(workload.uid, None)

    async def close(self) -> None:
        """Ends the containers."""
        runs = [run for pod in self._pods.values() for run in pod.attempts.values()]
        self._pods.clear()
        for run in runs:
            self._reap(run)
        await asyncio.gather(*(run.task for run in runs if run.task is not None), return_exceptions=True)

    def _pod_of(self, workload: Workload, *, create: bool = True) -> _Pod:
        if self.unavailable:
            raise RuntimeUnavailable("the fake runtime is unavailable, as the test wants it")
        mine = self._pods.get(workload.uid, _Pod(workload))
        if create:
            self._pods[workload.uid] = mine
        return mine

    def _judge_start(self, pod: _Pod, container: Container, attempt: int) -> None:
        mine = [run.seen for (name, _), run in pod.attempts.items() if name == container.name]
        if not pod.prepared:
            self.violations.append(f"{container.name} is started in a pod that is not prepared")
        if any(seen.state == "running" for seen in mine):
            self.violations.append(f"{container.name} would run twice")
        if any(seen.attempt >= attempt for seen in mine):
            self.violations.append(f"attempt {attempt} of {container.name} comes after a later one")

    async def _live(self, uid: str, run: _Attempt, command: Sequence[str]) -> None:
        end = await run.shell.run(command)
        self._exited(uid, run, end.exit_code, oom_killed=end.oom_killed)

    def _exited(self, uid: str, run: _Attempt, exit_code: int, *, oom_killed: bool = False) -> None:
        now = self.clock()
        changes = replace(run.seen, state="exited", finished_at=now, exit_code=exit_code, message=run.shell.message)
        run.seen = replace(changes, oom_killed=oom_killed)
        self.journal.append(("exit", run.seen.container, run.seen.attempt))
        self.on_event(uid)

    @staticmethod
    def _reap(run: _Attempt) -> None:
        if run.task is not None:
            run.task.cancel()
