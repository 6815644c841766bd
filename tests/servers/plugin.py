"""A plugin as operators run it: `interlink-plugin serve NAME` as a process of its own, which a test can kill."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from interlink_common.testing.contract_suite import RunningPlugin
from tests.servers.kubernetes import free_port

START_SECONDS = 60.0


class PluginProcess(RunningPlugin):
    """`directory` holds socket, state and log. `settings` are paths of settings (a.b) and their values."""

    def __init__(self, name: str, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        self._name, self._log = name, directory / f"{name}.log"
        self.state = directory / "state"
        self.listen = f"unix://{directory}/{name}.sock"
        self._settings = {
            "listen": self.listen,
            "state_dir": self.state,
            "telemetry.listen": f"http://127.0.0.1:{free_port()}",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when the plugin listens. Raises RuntimeError with the end of its log."""
        told = {f"INTERLINK_PLUGIN_{environment_name(key)}": as_text(value) for key, value in self._settings.items()}
        program = Path(sys.executable).with_name("interlink-plugin")
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [program, "serve", self._name], stdout=output, stderr=output, env={**os.environ, **told}, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the {self._name} plugin does not listen:\n{self._log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """As a crash or an out-of-memory kill: nothing is put in order."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def wait(self) -> None:
        """Returns when the plugin has ended by itself."""
        if self._process is not None:
            self._process.wait(START_SECONDS)

    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def restart(self) -> None:
        await asyncio.to_thread(self.kill)
        await asyncio.to_thread(self.start)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.listen.removeprefix("unix://")) == 0


class BatchPlugin(PluginProcess):
    """One that keeps pods as jobs, with files of each in `state`."""

    async def leftovers(self, pod_uid: str) -> list[str]:
        return await asyncio.to_thread(self.found, pod_uid)

    def found(self, uid: str) -> list[str]:
        """Jobs and files of a pod."""
        return [str(path) for path in self.state.glob("pods/*") if path.name == uid] or self.jobs_of(uid)

    def jobs_of(self, uid: str) -> list[str]:
        """What the batch system has of a pod."""
        raise NotImplementedError


def environment_name(setting: str) -> str:
    """A setting (a.b) as the name of a variable, without the prefix."""
    return setting.upper().replace(".", "__")


def as_text(value: object) -> str:
    return json.dumps(value) if value is None or isinstance(value, (bool, list, dict)) else str(value)
