"""One plugin for the tests that need no settings of their own; all of them in front of the one computing element."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.live.arc.site import Site
from tests.servers.arc import ComputingElement


@pytest_asyncio.fixture
async def site(arc_ce: ComputingElement, tmp_path: Path) -> AsyncIterator[Site]:
    async with Site(arc_ce, tmp_path) as site:
        yield site
