"""A node for tests: the agent on the fake runtime, in virtual time, with all it saved and reported."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from interlink_common.agent.agent import NodeAgent
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.testing.fake_runtime import FakeRuntime
from interlink_common.testing.virtual_time import now, run_virtually


@dataclass
class Node:
    """`saved` is the last checkpoint by UID, each saved after `saving_seconds`; `reports` every report in order."""

    runtime: FakeRuntime
    timing: Timing = field(default_factory=Timing)
    saving_seconds: float = 0.001
    saved: dict[str, str] = field(default_factory=dict)
    reports: list[tuple[str, PodReport]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new agent, as after a restart of the process; close the old one before."""
        self.agent = NodeAgent(self.runtime, save=self.save, clock=now, timing=self.timing)
        self.runtime.on_event = self.agent.wake
        self.reader = asyncio.create_task(self._read(), name="reader")

    async def save(self, uid: str, checkpoint: str) -> None:
        await asyncio.sleep(self.saving_seconds)
        self.saved[uid] = checkpoint

    async def _read(self) -> None:
        async for uid_and_report in self.agent.reports():
            self.reports.append(uid_and_report)

    async def close(self) -> None:
        await self.agent.close()
        await asyncio.gather(self.reader, return_exceptions=True)

    def entry(self, uid: str, name: str) -> ContainerReport:
        report = self.agent.report(uid)
        assert report is not None
        return next(entry for entry in (*report.init_containers, *report.containers) if entry.name == name)

    async def until(self, condition: Callable[[], bool], limit_seconds: float = 7200.0) -> None:
        """Lets virtual time pass in steps of 0.1 s until the condition holds."""
        end = now() + limit_seconds
        while not condition():
            assert now() < end, f"it never came to pass: {self.reports[-3:]}"
            await asyncio.sleep(0.1)

    async def running(self, uid: str, name: str = "main") -> None:
        """Waits until that container runs."""
        await self.until(lambda: self.agent.report(uid) is not None and isinstance(self.entry(uid, name).state, Running))

    async def ended(self, uid: str) -> list[Terminated]:
        """The ends of all containers, inits first, once the pod has finished."""
        report = await self.finished(uid)
        states = [entry.state for entry in (*report.init_containers, *report.containers)]
        ends = [state for state in states if isinstance(state, Terminated)]
        assert len(ends) == len(states)
        return ends

    async def finished(self, uid: str) -> PodReport:
        def is_finished() -> bool:
            report = self.agent.report(uid)
            return report is not None and report.finished

        await self.until(is_finished)
        report = self.agent.report(uid)
        assert report is not None
        return report

    def waits(self, uid: str, name: str = "main") -> list[Waiting]:
        """The waiting states of a container as reported, in order, repetitions left out."""
        reports = [report for other, report in self.reports if other == uid]
        states = [entry.state for report in reports for entry in (*report.init_containers, *report.containers) if entry.name == name]
        return [state for state, _ in itertools.groupby(states) if isinstance(state, Waiting)]


def on_node(story: Callable[[Node], Awaitable[None]], timing: Timing = Timing()) -> None:  # noqa: B008  frozen
    """Runs the story in virtual time; afterwards no rule of the runtime was broken and no task is left."""

    async def whole() -> None:
        node = Node(FakeRuntime(), timing)
        await story(node)
        await node.close()
        await node.runtime.close()
        assert node.runtime.violations == []
        left = {task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        assert left == set()

    run_virtually(whole())
