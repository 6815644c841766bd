"""What every batch system has to bear, on a real Slurm; and what only Slurm has: nodes that are lost, jobs that it does not accept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from tests.live.batch import BatchFaults, BatchLogs, MakeSite
from tests.live.site import FOREVER, exit_code, state
from tests.live.slurm.site import Site
from tests.servers.slurm import Cluster

pytestmark = pytest.mark.timeout(300)


class TestSlurm(BatchFaults):
    short_calls: ClassVar[Mapping[str, object]] = {"call_timeout_seconds": 2}
    job_ended_message: ClassVar[str] = r"^job \d+/\S+ was cancelled on node \(None\)$"
    podrunner_killed_message: ClassVar[str] = r"^job \d+/\S+ failed on node \(RaisedSignal:9\(Killed\)\)$"

    @pytest.fixture
    def make_site(self, slurm_cluster: Cluster, tmp_path: Path) -> MakeSite:
        return lambda settings: Site(slurm_cluster, tmp_path, settings)


class TestSlurmLogs(BatchLogs):
    @pytest.fixture
    def make_site(self, slurm_cluster: Cluster, tmp_path: Path) -> MakeSite:
        return lambda settings: Site(slurm_cluster, tmp_path, settings)


async def test_a_pod_whose_node_is_lost_has_failed_and_says_so(slurm_cluster: Cluster, tmp_path: Path) -> None:
    async with Site(slurm_cluster, tmp_path) as site:
        pod = await site.start(FOREVER)
        await site.running(pod)
        await site.run("scontrol update nodename=node state=down reason=test")
        try:
            await site.ended(pod)
        finally:
            await site.run("scontrol update nodename=node state=resume")
        assert (pod.phase, exit_code(pod) != 0) == ("Failed", True)
        assert "was lost with its node on node (NodeDown)" in state(pod, "terminated")["message"]


async def test_a_job_that_slurm_does_not_accept_is_a_pod_that_failed(slurm_cluster: Cluster, tmp_path: Path) -> None:
    async with Site(slurm_cluster, tmp_path, {"job.partition": "nowhere"}) as site:
        pod = site.make()
        await site.client.create(pod)
        await site.ended(pod)
        assert "invalid partition specified: nowhere" in state(pod, "terminated")["message"]


async def test_no_pod_runs_twice_whatever_is_submitted(slurm_cluster: Cluster, tmp_path: Path) -> None:
    """As when an answer was lost, and the job came to be after nobody had found it."""
    async with Site(slurm_cluster, tmp_path) as site:
        pod = await site.start("echo once; sleep 6; exit 3")
        await site.running(pod)
        command = f"scontrol write batch_script {site.number(pod)} - | sbatch --parsable --output=/dev/null --job-name=interlink-{pod.uid}"
        second = await site.run(command)
        await site.ended(pod)
        assert (exit_code(pod), await site.client.read_logs(pod, "main")) == (3, "once\n")
        assert await site.run(f"squeue --noheader --states=all --jobs={second} --format=%T") == "FAILED"
