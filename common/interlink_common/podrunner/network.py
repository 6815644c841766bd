"""interLink's mesh on a worker node: a script around the whole pod, and tunnels beside it. Both are shell texts of the virtual cluster's
operator, and run only where the site's operator lets them."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Optional

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import Network
from interlink_common.podrunner import processes
from interlink_common.podrunner.processes import node_environment, remove_directory

MESH_ANNOTATION, TUNNEL_ANNOTATION = "slurm-job.vk.io/pre-exec", "interlink.eu/wstunnel-client-commands"
BASH = "/bin/bash"
WRAPPED = 'source "$0" && exec "$TMPDIR/mesh.sh" "$@"'


def scratch(directory: Path) -> Path:
    """The scripts' TMPDIR."""
    path = directory / "network"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def mesh_wrapper(network: Network, directory: Path, *, allowed: bool) -> tuple[str, ...]:
    """The words before podrunner's own command that run it in the pod's network; none if there is no mesh. Writes the script, 0700."""
    if not network.mesh_script or network.mesh_disabled or not allowed:
        return ()
    script = scratch(directory) / "setup.sh"
    script.touch(0o700)
    script.write_text(network.mesh_script)
    return (BASH, "-c", WRAPPED, str(script))


class Tunnels:
    """The tunnel commands in the background, in the network that podrunner itself is in."""

    def __init__(self, network: Network, directory: Path, *, allowed: bool) -> None:
        self._network = network
        self._allowed = allowed
        self._directory = directory
        self._process: Optional[asyncio.subprocess.Process] = None

    async def start(self) -> None:
        """Raises StartError if this site forbids the pod's network scripts, or has no bash."""
        network = self._network
        if network.mesh_disabled or self._process is not None:
            return
        for annotation, text in ((MESH_ANNOTATION, network.mesh_script), (TUNNEL_ANNOTATION, network.tunnel_commands)):
            if text and not self._allowed:
                raise StartError("CreateContainerConfigError", f"this site does not run network scripts: annotation {annotation}")
        if network.tunnel_commands:
            await self._start(network.tunnel_commands)

    async def _start(self, commands: str) -> None:
        folder = scratch(self._directory)
        try:
            with (folder / "tunnels.log").open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    BASH,
                    "-s",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    env={**node_environment(), "TMPDIR": str(folder)},
                    cwd=str(folder),
                    start_new_session=True,
                )
        except OSError as error:
            raise StartError("CreateContainerConfigError", f"the network tunnels cannot be started: {error.strerror}") from error
        assert self._process.stdin is not None
        self._process.stdin.write(f"{commands}\nwait\n".encode())
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.drain()
        self._process.stdin.close()

    async def stop(self) -> None:
        if self._process is not None:
            processes.kill_all(self._process.pid)
            await self._process.wait()
            remove_directory(scratch(self._directory))
