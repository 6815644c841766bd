"""The lifecycle table on the fake runtime, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from interlink_common.agent.agent import NodeAgent
from interlink_common.lifecycle.report import PodReport, Running
from interlink_common.testing.fake_runtime import FakeRuntime
from interlink_common.testing.lifecycle_cases import CASES, SHORT, LifecycleCase, shortfalls
from interlink_common.testing.virtual_time import now, run_virtually


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: LifecycleCase) -> None:
    reports, violations = run_virtually(live(case))
    assert (shortfalls(case, reports), violations) == ([], [])


async def live(case: LifecycleCase) -> tuple[list[PodReport], list[str]]:
    runtime = FakeRuntime()
    agent = NodeAgent(runtime, save=lambda uid, text: None, clock=now, timing=SHORT)
    runtime.on_event = agent.wake
    agent.add(case.pod)
    reports: list[PodReport] = []
    removal: asyncio.Task[None] | None = None
    async for _, report in agent.reports():
        reports.append(report)
        if report.finished:
            break
        entries = {entry.name: entry for entry in (*report.init_containers, *report.containers)}
        if removal is None and is_up(entries, case.delete_when):
            removal = asyncio.create_task(agent.remove(case.pod.uid, case.pod.grace_seconds))
    if removal is not None:
        await removal
        assert runtime.uids == set()
    await agent.close()
    await runtime.close()
    return reports, runtime.violations


def is_up(entries: Mapping[str, object], name: str) -> bool:
    entry = entries.get(name)
    return entry is not None and getattr(entry, "started", False) and isinstance(getattr(entry, "state", None), Running)
