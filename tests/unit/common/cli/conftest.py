"""The command line over an installed plugin `scripted`: a distribution of its own, so that entry points are really read."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from interlink_common.cli import options
from interlink_common.cli.main import app
from interlink_common.testing.scripts import Script

PROGRAM = Path(sys.executable).with_name("interlink-plugin")
START_SECONDS = 60.0
ENTRY_POINTS = "interlink_common.cli.options.entry_points"


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that installs plugins when it is on the module path."""
    folder = tmp_path_factory.mktemp("distributions")
    info = folder / "scripted_plugin-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted-plugin\nVersion: 9.9\n")
    (info / "entry_points.txt").write_text("[interlink.plugins]\nscripted = interlink_common.testing.scripted:ScriptedBackend\n")
    return folder


@pytest.fixture(autouse=True)
def only_scripted(distributions: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine: no settings in the environment, no other plugins, no home."""
    for name in [name for name in os.environ if name.startswith("INTERLINK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.syspath_prepend(distributions)
    only = [point for point in entry_points(group=options.GROUP) if point.name == "scripted"]
    monkeypatch.setattr(ENTRY_POINTS, lambda group: only)


@pytest.fixture
def cli() -> Callable[..., Any]:
    """Runs a command line; the result has exit_code, stdout and stderr. A traceback fails the test."""

    def call(*words: object, stdin: str | None = None) -> Any:
        result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert "Traceback" not in result.output
        return result

    return call


class Process:
    """`interlink-plugin serve scripted`, a real one."""

    def __init__(self, listen: str, environment: Mapping[str, str]) -> None:
        self.listen = listen
        self.environment = dict(environment)

    def command(self, *words: str) -> subprocess.Popen[str]:
        """Another command, with this plugin to talk to."""
        environment = {**self.environment, "INTERLINK_CONNECT": self.listen}
        return subprocess.Popen([PROGRAM, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def served(distributions: Path) -> Iterator[Process]:
    with tempfile.TemporaryDirectory(prefix="cli-") as folder:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("INTERLINK_")}
        path = os.pathsep.join(filter(None, [str(distributions), os.environ.get("PYTHONPATH")]))
        environment = {**clean, "PYTHONPATH": path, "INTERLINK_PLUGIN_TELEMETRY__LISTEN": "null"}
        listen = f"unix://{folder}/p.sock"
        words = [str(PROGRAM), "serve", "scripted", "--listen", listen, "--state-dir", f"{folder}/state"]
        with (Path(folder) / "log").open("w+b") as log, subprocess.Popen(words, env=environment, stdout=log, stderr=log) as process:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(f"{folder}/p.sock"):
                assert process.poll() is None, Path(log.name).read_text()
                assert time.monotonic() < deadline, Path(log.name).read_text()
                time.sleep(0.05)
            yield Process(listen, environment)
            process.terminate()
            assert process.wait(START_SECONDS) == 0, Path(log.name).read_text()


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    """Writes a manifest: the pod, whose containers do as their scripts say, and further documents."""

    def write(name: str, *others: dict[str, Any], inits: Mapping[str, Script] | None = None, **containers: Script) -> Path:
        def listed(scripts: Mapping[str, Script]) -> list[dict[str, Any]]:
            return [{"name": key, "image": "i", "command": script.command()} for key, script in scripts.items()]

        spec = {"restartPolicy": "Never", "initContainers": listed(inits or {}), "containers": listed(containers)}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump_all([pod, *others]))
        return path

    return write
