"""The same plugin in front of other pools: HTCondor 23.9, and daemons that run without root. A few pods say whether everything works."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink_common.backend import Verdict
from interlink_htcondor.backend import HTCondorBackend
from interlink_htcondor.settings import CredentialSettings, HTCondorSettings, PoolSettings
from tests.live.htcondor.site import FOREVER, Site, exit_code, state
from tests.servers.container import unavailable
from tests.servers.htcondor import HOSTNAME, Pool, running_pool
from tests.servers.htcondor_image import CURRENT, OLDER

pytestmark = pytest.mark.timeout(300)

SHAPES = {"23.9": (OLDER, False), "non-root": (CURRENT, True)}
BARE = {"runner.runtimes": ["process"]}
"""Debian has no apptainer beside HTCondor 23.9."""


@pytest.fixture(scope="module", params=SHAPES)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    if reason := unavailable():
        pytest.skip(reason)
    release, non_root = SHAPES[request.param]
    with running_pool(release, non_root=non_root) as pool:
        yield pool


async def test_pods_run_are_logged_evicted_held_and_deleted(pool: Pool, tmp_path: Path) -> None:
    async with Site(pool, tmp_path, BARE) as site:
        short, long = await site.start("echo said; exit 3"), await site.start(FOREVER)
        several = await site.start("sleep 1", others=[{"name": "other", "image": "none", "command": ["sh", "-c", "echo other; exit 4"]}])
        await site.ended(short)
        assert (exit_code(short), await site.client.read_logs(short, "main")) == (3, "said\n")
        await site.ended(several)
        assert (exit_code(several), exit_code(several, "other"), await site.client.read_logs(several, "other")) == (0, 4, "other\n")
        await site.running(long)
        await site.logged(long, "here\n")
        await site.condor(f"condor_vacate_job -fast {site.job(long)}")
        await site.client.wait_for(
            long, lambda seen: bool(seen.container_status("main")["restartCount"] == 1 and state(seen, "running")), timeout_seconds=90
        )
        await site.condor(f"condor_hold -reason why {site.job(long)}")
        assert "held by hand (code 1, subcode 0): why" in await site.waiting(long, "JobHeld")
        await site.delete_all()
        assert await asyncio.to_thread(pool.spooled) == []


async def test_the_check(pool: Pool, tmp_path: Path) -> None:
    settings = HTCondorSettings(
        state_dir=tmp_path,
        pool=PoolSettings(collector=pool.address, schedd=HOSTNAME),
        credential=CredentialSettings(token_file=await asyncio.to_thread(pool.token, "site", tmp_path / "tokens/site.token")),
    )
    rows = {row.name: (row.verdict, row.detail) for row in await HTCondorBackend(settings).check()}
    assert rows["schedd"] == (Verdict.OK, f"{HOSTNAME} runs HTCondor {pool.version()}")
    assert rows["queue"] == (Verdict.OK, "0 jobs of this plugin")
    assert rows["slots"] == (Verdict.OK, "32 cpus, 32 GiB of memory")
    (lost,) = await HTCondorBackend(settings.model_copy(update={"pool": PoolSettings(collector="127.0.0.1:1")})).check()
    assert (lost.name, lost.verdict) == ("schedd", Verdict.FAILED)


async def test_the_capacity(pool: Pool, tmp_path: Path) -> None:
    async with Site(pool, tmp_path, BARE) as site:
        async with asyncio.timeout(60):
            while "cpu" not in (told := (await site.client.ping())["resources"] or {}):  # noqa: ASYNC110  it is asked in the background
                await asyncio.sleep(0.1)
        assert (told["cpu"], told["memory"]) == ("32", "32Gi")
