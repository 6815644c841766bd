"""What happens at a real computing element without us: kills, jobs wiped, services that die, a full disk, a plugin killed.

Nothing is lost, nothing is doubled, and nobody is told of an end that is not known.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from interlink_arc.submitting import POSTED
from interlink_common import faultpoints
from interlink_common.virtualkubelet.client import CallError
from tests.live.arc.site import FOREVER, PATIENCE_SECONDS, Site, exit_code, state, until
from tests.servers.arc import ComputingElement

pytestmark = pytest.mark.timeout(300)


async def test_a_job_killed_by_somebody_has_failed_and_says_so(site: Site) -> None:
    pod = await site.start(FOREVER)
    await site.running(pod)
    await site.act("kill", pod)
    await site.ended(pod)
    told = state(pod, "terminated")
    assert (pod.phase, told["exitCode"]) == ("Failed", 7)
    assert told["message"].endswith("failed: Job is canceled by external request")
    assert await site.client.read_logs(pod, "main") == "here\n"


async def test_a_job_whose_podrunner_was_killed_has_failed_with_what_arc_tells(site: Site) -> None:
    pod = await site.start(FOREVER)
    await site.running(pod)
    await site.run("pkill -KILL -f '[ ]-I -S -B /session'")
    await site.ended(pod)
    told = state(pod, "terminated")
    assert (pod.phase, told["exitCode"]) == ("Failed", 137)
    assert re.search(r"job https://.* failed: LRMS error: \(\d+\) Job finished with wrong exit code", told["message"])


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
    assert "was wiped by its computing element" in told["message"]
    assert await site.client.read_logs(pod, "main") == "here\n"


async def test_services_that_die_freeze_states_and_lose_nothing(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path, {"call_timeout_seconds": 5}) as site:
        running, deleted = await site.start("sleep 6; exit 5"), await site.start(FOREVER)
        await asyncio.gather(site.running(running), site.running(deleted))
        await asyncio.to_thread(arc_ce.kill)
        try:
            late = await site.start("exit 4")
            await site.client.delete(deleted, grace_seconds=1)
            for _ in range(7):
                assert (await site.client.status(running), await site.client.status(late)) == ("Running", "Pending")
                assert (await site.client.ping())["status"] == "ok"
                await asyncio.sleep(1)
        finally:
            await asyncio.to_thread(arc_ce.restart)
        for ending, code in ((running, 5), (late, 4)):
            await site.ended(ending)
            assert exit_code(ending) == code
        await site.emptied(deleted)


async def test_a_network_that_is_cut_freezes_states(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path, {"call_timeout_seconds": 2}) as site:
        pod = await site.start("sleep 5; exit 3")
        await site.running(pod)
        arc_ce.pause()
        try:
            late = site.make("exit 2")
            creating = asyncio.create_task(site.client.create(late))
            for _ in range(6):
                assert await site.client.status(pod) == "Running"
                await asyncio.sleep(1)
        finally:
            arc_ce.unpause()
        await creating
        for ending, code in ((pod, 3), (late, 2)):
            await site.ended(ending)
            assert exit_code(ending) == code


async def test_an_element_whose_certificate_has_ended_is_unreachable_until_it_is_renewed(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path) as site:
        pod = await site.start("sleep 3; exit 3")
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


def handed_over(ce: ComputingElement, uid: str) -> int:
    """Jobs of a pod that A-REX brought to its back-end, and saw end there: only they have an id of the back-end's in its log."""
    return int(ce.run(f"grep 'Finished - .*interlink-{uid}' /var/log/arc/jobs.log | grep -c lrmsid || true"))


FAULTS = [faultpoints.RECORDED, POSTED, faultpoints.SUBMITTED, faultpoints.JID_STORED]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_plugin_killed_during_a_create_has_one_job_in_the_end(
    arc_ce: ComputingElement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv(faultpoints.VARIABLE, fault)
    async with Site(arc_ce, tmp_path) as site:
        pod = site.make("echo once; sleep 1; exit 3")
        creating = asyncio.create_task(site.client.create(pod))
        await until(lambda: not site.plugin.runs(), "the plugin was not killed")
        monkeypatch.delenv(faultpoints.VARIABLE)
        await site.plugin.restart()
        await asyncio.gather(creating, return_exceptions=True)
        await site.client.create(pod)
        await site.ended(pod)
        assert (exit_code(pod), await site.client.read_logs(pod, "main")) == (3, "once\n")
        await site.delete_all()
        assert await asyncio.to_thread(handed_over, arc_ce, pod.uid) == 1


@pytest.mark.parametrize("fault", [faultpoints.DELETE_RECORDED, faultpoints.CANCELLED])
async def test_a_plugin_killed_during_a_delete_leaves_nothing(
    arc_ce: ComputingElement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv(faultpoints.VARIABLE, fault)
    async with Site(arc_ce, tmp_path) as site:
        pod = await site.start(FOREVER)
        await site.running(pod)
        await asyncio.gather(site.client.delete(pod, grace_seconds=1), return_exceptions=True)
        await until(lambda: not site.plugin.runs(), "the plugin was not killed")
        monkeypatch.delenv(faultpoints.VARIABLE)
        await asyncio.to_thread(site.plugin.start)
        await site.emptied(pod)
        with pytest.raises(CallError):
            await site.client.create(pod)


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
