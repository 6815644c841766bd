"""The contract suite: what interLink expects of every plugin, as pytest tests that a plugin's author runs against their own.

Open `pods` first: the tests of create and status. `logs` and `calls` have the others, `base` what they share.

::

    class TestMyPlugin(PluginContract):
        @pytest_asyncio.fixture
        async def plugin(self, tmp_path):           # yields a RunningPlugin: an address, restart(), leftovers()
            ...

        @pytest.fixture
        def image(self):                            # has a POSIX shell and is known to the backend
            return "busybox:1.36"

        @pytest.fixture
        def capabilities(self):                     # what is not declared is skipped, by name
            return MyBackend.capabilities

It needs pytest-asyncio in auto mode. Every status answer in every test passes `interlink_common.virtualkubelet.judge`, so a test also
fails for what it did not ask. The suite does not test what only a real backend can show: files, resources, networks, users.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in ("base", "calls", "logs", "pods")))

# Explained assertions need that line before these.
from interlink_common.testing.contract_suite.base import ContractBase, Pods, RunningPlugin, shell_container  # noqa: E402  see above
from interlink_common.testing.contract_suite.calls import CallContract  # noqa: E402  see above
from interlink_common.testing.contract_suite.logs import LogContract  # noqa: E402  see above
from interlink_common.testing.contract_suite.pods import PodContract  # noqa: E402  see above

__all__ = ["ContractBase", "PluginContract", "Pods", "RunningPlugin", "shell_container"]


class PluginContract(PodContract, LogContract, CallContract):
    """All of it. Subclass it under a name that pytest collects (`Test...`); nothing runs in this class itself."""
