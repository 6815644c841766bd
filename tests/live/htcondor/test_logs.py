"""Logs that travel through the spool: live, whole, and never fetched again and again."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.live.batch import BatchLogs, MakeSite
from tests.live.htcondor.site import Site, exit_code
from tests.servers.htcondor import Pool

pytestmark = pytest.mark.timeout(240)

LINES = 120_000
"""Some 12 MiB of the stream."""


class TestHTCondor(BatchLogs):
    @pytest.fixture
    def make_site(self, htcondor_pool: Pool, tmp_path: Path) -> MakeSite:
        return lambda settings: Site(htcondor_pool, tmp_path, settings)


async def test_a_large_log_is_whole_and_waits_for_room(htcondor_pool: Pool, tmp_path: Path) -> None:
    """As chunks more than the window three times over: the pod's output waits, and chunks leave the spool when they are taken."""
    async with Site(htcondor_pool, tmp_path, {"follow.window_bytes": 4 * 2**20}) as site:
        pod = await site.start(f"yes 0123456789 | head -n {LINES} | awk '{{ print NR, $0 }}'; echo unended | tr -d '\\n'; exit 3")
        await site.running(pod)
        largest = 0
        while not pod.ended:
            told = await site.condor(
                "du -sb $(condor_config_val SPOOL)/*/*/cluster*.subproc0 2> /dev/null | sort -n | tail -n 1 | cut -f 1"
            )
            largest = max(largest, int(told.strip() or 0))
            await site.client.status(pod)
            await asyncio.sleep(0.2)
        assert exit_code(pod) == 3
        expected = "".join(f"{number} 0123456789\n" for number in range(1, LINES + 1)) + "unended"
        got = await site.client.read_logs(pod, "main")
        assert hashlib.sha256(got.encode()).digest() == hashlib.sha256(expected.encode()).digest()
        assert largest < 6 * 2**20


async def test_without_chirp_logs_and_states_come_with_the_end(htcondor_pool: Pool, tmp_path: Path) -> None:
    async with Site(htcondor_pool, tmp_path, {"follow.stream": "file"}) as site:
        pod = await site.start("echo said; exit 3")
        await site.ended(pod)
        assert (exit_code(pod), await site.client.read_logs(pod, "main")) == (3, "said\n")
