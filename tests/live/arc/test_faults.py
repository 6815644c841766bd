"""What happens at a real computing element without us: what every batch system has to bear, jobs wiped, a certificate that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from interlink_arc.submitting import POSTED
from tests.live.arc.site import FOREVER, PATIENCE_SECONDS, Site, exit_code, state
from tests.live.batch import BatchFaults, MakeSite
from tests.servers.arc import ComputingElement

pytestmark = pytest.mark.timeout(300)


class TestArc(BatchFaults):
    short_calls: ClassVar[Mapping[str, object]] = {"call_timeout_seconds": 2}
    job_ended_message: ClassVar[str] = r"failed: Job is canceled by external request$"
    podrunner_killed_message: ClassVar[str] = r"job https://.* failed: LRMS error: \(\d+\) Job finished with wrong exit code"

    @pytest.fixture
    def make_site(self, arc_ce: ComputingElement, tmp_path: Path) -> MakeSite:
        return lambda settings: Site(arc_ce, tmp_path, settings)

    async def test_a_plugin_killed_before_the_job_has_its_file(self, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
        await self.has_one_job_in_the_end(make_site, monkeypatch, POSTED)


async def test_a_job_that_its_element_has_no_more_is_told_as_such(site: Site) -> None:
    pod = await site.start(FOREVER)
    await site.running(pod)
    await site.logged(pod, "here\n")
    await asyncio.to_thread(site.plugin.kill)
    await site.act("kill", pod)
    while (await site.asked("GET", f"/jobs/{site.id(pod)}/session")).is_success:
        await site.act("clean", pod)
    await asyncio.to_thread(site.plugin.start)
    await site.ended(pod)
    told = state(pod, "terminated")
    assert (pod.phase, told["exitCode"]) == ("Failed", 137)
    assert "was removed by its computing element" in told["message"]
    assert await site.client.read_logs(pod, "main") == "here\n"


async def test_an_element_whose_certificate_has_ended_is_unreachable_until_it_is_renewed(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path) as site:
        pod = await site.start("sleep 10; exit 3")
        await site.running(pod)
        await asyncio.to_thread(arc_ce.kill)
        await asyncio.to_thread(arc_ce.renew_host_certificate, days=-1)
        await site.run("/ce/up.sh")
        try:
            late = await site.start()
            await site.waiting(late, "ContainerCreating", "certificate has expired")
            assert await site.client.status(pod) == "Running"
        finally:
            await asyncio.to_thread(arc_ce.kill)
            await asyncio.to_thread(arc_ce.renew_host_certificate)
            await asyncio.to_thread(arc_ce.restart)
        for ending, code in ((pod, 3), (late, 0)):
            await site.ended(ending)
            assert exit_code(ending) == code


@pytest.mark.trial
async def test_three_hundred_pods_at_once(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path, {"runner.runtimes": ["process"]}) as site:
        pods = [site.make(f"echo {number}; exit {number % 5}") for number in range(300)]
        await asyncio.gather(*map(site.client.create, pods))
        assert len({site.job(pod) for pod in pods}) == 300
        for number, pod in enumerate(pods):
            await site.client.wait_for(pod, lambda seen: seen.ended, timeout_seconds=PATIENCE_SECONDS * 3)
            assert exit_code(pod) == number % 5
        for number in (0, 77, 299):
            assert await site.client.read_logs(pods[number], "main") == f"{number}\n"
        await site.delete_all()
        assert (await site.run("ls /session")).split() == []
