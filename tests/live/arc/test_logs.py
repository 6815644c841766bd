"""Logs that are read from the session directory: live, whole, and never read twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.live.arc.site import Site, exit_code
from tests.live.batch import BatchLogs, MakeSite
from tests.servers.arc import ComputingElement

pytestmark = pytest.mark.timeout(240)

LINES = 120_000
"""Some 12 MiB of the stream."""


class TestArc(BatchLogs):
    @pytest.fixture
    def make_site(self, arc_ce: ComputingElement, tmp_path: Path) -> MakeSite:
        return lambda settings: Site(arc_ce, tmp_path, settings)


async def test_a_large_log_is_whole_and_every_byte_is_read_once(site: Site) -> None:
    pod = await site.start(f"yes 0123456789 | head -n {LINES} | awk '{{ print NR, $0 }}'; echo unended | tr -d '\\n'; exit 3")
    await site.ended(pod)
    assert exit_code(pod) == 3
    expected = "".join(f"{number} 0123456789\n" for number in range(1, LINES + 1)) + "unended"
    got = await site.client.read_logs(pod, "main")
    assert hashlib.sha256(got.encode()).digest() == hashlib.sha256(expected.encode()).digest()
    logged = (site.plugin.state / "pods" / pod.uid / "log").glob("*")
    assert sum(path.stat().st_size for path in logged) < 1.5 * (LINES * 110)
