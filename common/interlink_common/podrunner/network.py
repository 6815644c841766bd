"""interLink's mesh on a worker node: a script around the whole pod, and tunnels beside it. Both are shell texts of the virtual cluster's
operator, and run only where the site's operator lets them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Optional

from interlink_common.agent.runtime import StartError
from interlink_common.podrunner import processes
from interlink_common.podrunner.config import SecurityRules
from interlink_common.podrunner.node import node_environment
from interlink_common.workload.model import Network

BASH = "/bin/bash"
WRAPPED = 'source "$0" && exec "$TMPDIR/mesh.sh" "$@"'


def mesh_wrapper(network: Network, rules: SecurityRules, directory: Path) -> tuple[str, ...]:
    """The words before podrunner's own command that run it in the pod's network; none if there is no mesh. Writes the script, 0700."""
    if not network.mesh_script or network.mesh_disabled or not rules.mesh:
        return ()
    script = directory / "mesh-setup.sh"
    script.touch(0o700)
    script.write_text(network.mesh_script)
    return (BASH, "-c", WRAPPED, str(script))


class Tunnels:
    """The tunnel commands in the background, in the network that podrunner itself is in."""

    def __init__(self, network: Network, rules: SecurityRules, directory: Path) -> None:
        self._commands = "" if network.mesh_disabled else network.tunnel_commands
        self._allowed = rules.mesh
        self._directory = directory
        self._process: Optional[asyncio.subprocess.Process] = None

    async def start(self) -> None:
        """Raises StartError if this site forbids them or has no bash."""
        if not self._commands or self._process is not None:
            return
        if not self._allowed:
            raise StartError("CreateContainerConfigError", "this site does not run network tunnels (interlink.eu/wstunnel-client-commands)")
        try:
            with (self._directory / "tunnels.log").open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    BASH,
                    "-s",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env={**node_environment(), "TMPDIR": str(self._directory)},
                    cwd=str(self._directory),
                    start_new_session=True,
                )
        except OSError as error:
            raise StartError("CreateContainerConfigError", f"the network tunnels can not be started: {error.strerror}") from error
        assert self._process.stdin is not None
        self._process.stdin.write(f"{self._commands}\nwait\n".encode())
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.drain()
        self._process.stdin.close()

    async def stop(self) -> None:
        if self._process is not None:
            processes.kill_all(self._process.pid)
            await self._process.wait()


def directory_environment(directory: Path) -> dict[str, str]:
    """For the mesh script, which keeps its files in TMPDIR."""
    return {**os.environ, "TMPDIR": str(directory)}
