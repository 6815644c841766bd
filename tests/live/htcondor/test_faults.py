"""What happens to jobs on a real pool without us: what every batch system has to bear, holds, removals, evictions, a lost worker node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from interlink_htcondor.client import UNSPOOLED
from tests.live.batch import BatchFaults, MakeSite
from tests.live.htcondor.site import FOREVER, PATIENCE_SECONDS, Site, exit_code, state, until
from tests.servers.htcondor import Pool

pytestmark = pytest.mark.timeout(240)


class TestHTCondor(BatchFaults):
    short_calls: ClassVar[Mapping[str, object]] = {"pool.call_timeout_seconds": 3}
    job_ended_message: ClassVar[str] = r"too much of it"
    podrunner_killed_message: ClassVar[str] = r"job \d+\.\d+ (was ended by signal 9|ended with code 137)"

    @pytest.fixture
    def make_site(self, htcondor_pool: Pool, tmp_path: Path) -> MakeSite:
        return lambda settings: Site(htcondor_pool, tmp_path, settings)

    def last_log(self, whole: str) -> str:
        """Nothing more is fetched of a job that leaves the queue."""
        return whole.partition("hook")[0]

    async def test_a_client_killed_before_the_job_has_its_files(self, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the process of the plugin's client ends, with a job in the queue."""
        monkeypatch.setattr(self, "is_reached", lambda site, pod: bool(site.plugin.jobs_of(pod.uid)))
        await self.has_one_job_in_the_end(make_site, monkeypatch, UNSPOOLED)


async def test_a_job_held_by_hand_waits_and_goes_on_when_it_is_released(site: Site) -> None:
    pod = await site.start("sleep 8")
    await site.running(pod)
    await site.condor(f"condor_hold -reason 'look at it' {site.job(pod)}")
    message = await site.waiting(pod, "JobHeld")
    assert message.startswith(f"job {site.job(pod)} is held: held by hand (code 1, subcode 0): look at it")
    await until(lambda: site.pool.run(f"condor_q {site.job(pod)} -af CurrentHosts").strip() == "0", "its shadow does not leave")
    await site.condor(f"condor_release {site.job(pod)}")
    await site.ended(pod)
    assert exit_code(pod) == 0


async def test_holds_are_released_and_given_up_by_policy(htcondor_pool: Pool, tmp_path: Path) -> None:
    """A job whose policy holds it again and again."""
    settings = {
        "job.requirements": "false",
        "job.attributes": {"PeriodicHold": "(NumHolds ?: 0) < 3 && JobStatus == 1", "PeriodicHoldReason": '"not now"'},
        "holds.policy": "release",
        "holds.release_after_seconds": 0.1,
        "holds.releases": 2,
    }
    async with Site(htcondor_pool, tmp_path, settings) as site:
        pod = await site.start()
        await site.ended(pod)
        assert exit_code(pod) == 137
        assert "(code 3, subcode 0): not now" in state(pod, "terminated")["message"]


async def test_a_job_removed_by_somebody_has_failed(site: Site) -> None:
    pods = [await site.start(FOREVER) for _ in range(2)]
    pods.append(await site.start("exit 0", container={"resources": {"requests": {"cpu": "64"}}}))
    await asyncio.gather(*map(site.running, pods[:2]))
    await site.waiting(pods[2], "Queued", "no slot of the pool has 64 cpus, the largest has 32")
    await site.condor(f"condor_rm -reason 'too much of it' {site.job(pods[0])}")
    await site.condor(f"condor_rm {site.job(pods[1])}; condor_rm -forcex {site.job(pods[1])}")
    await site.condor(f"condor_rm -reason 'too much of it' {site.job(pods[2])}")
    for pod in pods:
        await site.ended(pod)
        assert (pod.phase, exit_code(pod) != 0) == ("Failed", True)
    assert all("too much of it" in state(pod, "terminated")["message"] for pod in (pods[0], pods[2]))


@pytest.mark.parametrize("policy", ["rerun", "fail"])
async def test_an_evicted_pod_runs_again_or_has_failed(site: Site, policy: str) -> None:
    pod = await site.start(FOREVER, metadata={"annotations": {"interlink.eu/on-eviction": policy}})
    await site.running(pod)
    before = pod.container_status("main")["containerID"]
    await site.condor(f"condor_vacate_job -fast {site.job(pod)}")
    if policy == "fail":
        await site.ended(pod)
        assert (pod.phase, exit_code(pod) != 0) == ("Failed", True)
        assert "evicted from cm.pool.test" in state(pod, "terminated")["message"]
        return
    again = await site.client.wait_for(
        pod,
        lambda seen: bool(seen.container_status("main")["restartCount"] and state(seen, "running")),
        timeout_seconds=PATIENCE_SECONDS,
    )
    status = again.container_status("main")
    assert (status["restartCount"], status["containerID"]) == (1, before)
    assert status["lastState"]["terminated"]["exitCode"] != 0
    await site.logged(pod, "here\n", previous=True)


async def test_a_pod_whose_worker_node_died_runs_again(htcondor_pool: Pool, tmp_path: Path) -> None:
    """Not before its lease is over, since until then the schedd hopes to find it again."""
    async with Site(htcondor_pool, tmp_path, {"job.attributes": {"JobLeaseDuration": "20"}}) as site:
        pod = await site.start(FOREVER)
        await site.running(pod)
        await site.condor("pkill -KILL -x condor_startd; pkill -KILL -x condor_starter; pkill -KILL -f '[p]odrunner.pyz'; true")
        again = await site.client.wait_for(
            pod,
            lambda seen: bool(seen.container_status("main")["restartCount"] == 1 and state(seen, "running")),
            timeout_seconds=PATIENCE_SECONDS,
        )
        assert again.container_status("main")["lastState"]["terminated"]["exitCode"] != 0


@pytest.mark.trial
async def test_two_hundred_pods_at_once(htcondor_pool: Pool, tmp_path: Path) -> None:
    async with Site(htcondor_pool, tmp_path, {"runner.runtimes": ["process"]}) as site:
        pods = [site.make(f"echo {number}; exit {number % 5}") for number in range(200)]
        await asyncio.gather(*map(site.client.create, pods))
        clusters = {site.job(pod).partition(".")[0] for pod in pods}
        assert len({site.job(pod) for pod in pods}) == 200
        assert len(clusters) < 100
        for number, pod in enumerate(pods):
            await site.client.wait_for(pod, lambda seen: seen.ended, timeout_seconds=200)
            assert exit_code(pod) == number % 5
        for number in (0, 77, 199):
            assert await site.client.read_logs(pods[number], "main") == f"{number}\n"
        await site.delete_all()
        assert await asyncio.to_thread(htcondor_pool.spooled) == []
