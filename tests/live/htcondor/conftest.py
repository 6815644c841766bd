"""One plugin for the tests that need no settings of their own; all of them on the one pool."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.live.htcondor.site import Site
from tests.servers.htcondor import Pool


@pytest_asyncio.fixture
async def site(htcondor_pool: Pool, tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(htcondor_pool, tmp_path) as site:
        yield site
