"""Jobs that a CE's router takes: as in examples/config/htcondor-ce.yaml, they ask by the CE's own attributes, and never start as they are.

HTCondor-CE is a schedd with HTCondor's JobRouter; this is that pair on one pool, whose slots take routed jobs only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.htcondor.site import FOREVER, Site, exit_code, until
from tests.servers.container import unavailable
from tests.servers.htcondor import Pool, running_pool

pytestmark = pytest.mark.timeout(240)

ROUTER = """\
DAEMON_LIST = $(DAEMON_LIST) JOB_ROUTER
JOB_ROUTER_POLLING_PERIOD = 1
JOB_ROUTER_SOURCE_JOB_CONSTRAINT = xcount =!= undefined
JOB_ROUTER_ROUTE_NAMES = Grid
JOB_ROUTER_ROUTE_Grid @=end
  REQUIREMENTS remote_queue == "grid"
  UNIVERSE VANILLA
  EVALSET RequestCpus xcount
  EVALSET RequestMemory maxMemory
  SET IsRouted true
@end
START = TARGET.IsRouted =?= true
"""
SHAPE = {
    "follow.stream": "file",
    "job.attributes": {"xcount": "RequestCpus", "maxMemory": "RequestMemory", "maxWallTime": "2880", "remote_queue": '"grid"'},
    "runner.runtimes": ["process"],
}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    if reason := unavailable():
        pytest.skip(reason)
    with running_pool(extra=ROUTER) as pool:
        yield pool


async def test_a_routed_pod_tells_its_end_and_its_log(pool: Pool, tmp_path: Path) -> None:
    async with Site(pool, tmp_path, SHAPE) as site:
        pod = await site.start("echo said; exit 6")
        await site.ended(pod)
        assert (exit_code(pod), await site.client.read_logs(pod, "main")) == (6, "said\n")


async def test_a_routed_pod_is_deleted_while_it_runs(pool: Pool, tmp_path: Path) -> None:
    async with Site(pool, tmp_path, SHAPE) as site:
        pod = await site.start(FOREVER, container={"resources": {"requests": {"cpu": "1500m"}}})
        running = f"condor_q -allusers -constraint 'RoutedFromJobId == \"{site.job(pod)}\" && JobStatus == 2' -af RequestCpus"
        await until(lambda: pool.run(running).split() == ["2"], "the routed job does not run")
        await site.delete_all()
        await until(lambda: not pool.run("condor_q -allusers -af ClusterId").split(), "a job is left")
        assert await asyncio.to_thread(pool.spooled) == []
