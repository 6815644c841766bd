"""`make demo`: three pods of examples/ run for real, sent the way interLink sends them. Leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import docker

from scripts.engine import PAUSE_IMAGE, demo_images, engine
from scripts.packages import Missing, say
from scripts.rundir import run_directory
from tests.servers.plugin import PluginProcess

PODS = [
    ("batch", 0, "a batch job with an init container, a ConfigMap and a Secret"),
    ("web", 0, "two containers that talk over localhost, one with a readiness probe"),
    ("failing", 3, "a job that fails, and says why"),
]


def main() -> int:
    with (
        engine() as docker_engine,
        demo_images(docker_engine.url),
        run_directory() as parent,
        tempfile.TemporaryDirectory(dir=parent) as folder,
    ):
        plugin = PluginProcess("docker", Path(folder), {"engine.url": docker_engine.url, "sandbox.image": PAUSE_IMAGE})
        plugin.start()
        try:
            say(f"Plugin: interlink-plugin serve docker, on {Path(plugin.listen).name}")
            surprises = [name for name, expected, story in PODS if not as_expected(plugin, name, expected, story)]
        finally:
            plugin.stop()
        left = left_behind(docker_engine.url, f"{folder}/state")
    if surprises:
        say(f"\nNot as expected: {', '.join(surprises)}.")
    say(f"\nLeft behind on the engine: {', '.join(left) or 'nothing'}.")
    return 1 if surprises or left else 0


def as_expected(plugin: PluginProcess, name: str, expected: int, story: str) -> bool:
    """Runs one pod and tells whether its exit code is the one it should have."""
    command = ["interlink-plugin", "run", f"examples/{name}.yaml"]
    environment = {**os.environ, "INTERLINK_CONNECT": plugin.listen}
    say(f"\n--- {name}: {story}\n$ {' '.join(command)}")
    program = Path(sys.executable).with_name(command[0])
    with subprocess.Popen([program, *command[1:]], stdin=subprocess.DEVNULL, env=environment) as running:
        try:
            code = running.wait()
        except BaseException:
            running.send_signal(signal.SIGINT)  # it then deletes its pod, for which leaving this block waits
            raise
    say(f"Exit code {code}{', as it should be' if code == expected else f' instead of {expected}'}.")
    return code == expected


def left_behind(url: str, instance: str) -> list[str]:
    """Names of the containers and volumes on the engine that carry this plugin's label."""
    label = {"label": f"interlink.eu/instance={instance}"}
    client = docker.APIClient(base_url=url)
    try:
        containers = [container["Names"][0].removeprefix("/") for container in client.containers(all=True, filters=label)]
        return containers + [volume["Name"] for volume in client.volumes(filters=label)["Volumes"] or []]
    finally:
        client.close()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Missing as gap:
        sys.exit(f"make demo: {gap}")
    except KeyboardInterrupt:
        sys.exit(130)
