"""The lifecycle table on the fake runtime, in virtual time."""

from __future__ import annotations

import pytest

from interlink_common.testing.fake_node import Node, on_node
from interlink_common.testing.lifecycle_cases import CASES, SHORT, LifecycleCase, run_case, shortfalls


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_case(case: LifecycleCase) -> None:
    async def story(node: Node) -> None:
        node.reader.cancel()
        assert shortfalls(case, await run_case(case, node.agent)) == []
        assert node.runtime.uids == set()

    on_node(story, SHORT)
