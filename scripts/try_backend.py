"""`make try BACKEND=docker` (or kueue, htcondor, arc): serves a plugin on .run/BACKEND.sock until Ctrl-C, with what it needs for that time.

Pods that are left run on, with their state in .run, and the next `make try` picks them up; on servers of its own they go with it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.cluster import QUEUE, cluster
from scripts.engine import PAUSE_IMAGE, demo_images, engine
from scripts.packages import Missing, busybox_packages, docker_packages, install, root_packages, say
from scripts.rundir import run_directory
from tests.servers.arc import running_ce
from tests.servers.arc_plugin import QUICK as QUICK_ARC
from tests.servers.htcondor import running_pool
from tests.servers.htcondor_plugin import QUICK
from tests.servers.plugin import as_text, environment_name


def try_docker() -> int:
    with engine() as found, demo_images(found.url), run_directory() as folder:
        state = folder / "docker-state"
        try:
            return serve("docker", folder, state, {"ENGINE__URL": found.url, "SANDBOX__IMAGE": PAUSE_IMAGE})
        finally:
            if found.own or not any(state.glob("pods/*")):
                shutil.rmtree(state, ignore_errors=True)


def try_kueue() -> int:
    with cluster() as remote, run_directory() as folder:
        state = folder / "kueue-state"
        settings = {
            "CLUSTERS": json.dumps({"default": {"kubeconfig": str(remote.kubeconfig)}}),
            "TENANTS": json.dumps({"*": {"queue": QUEUE}}),
            "NETWORK__DNS_POLICY": "Default",
        }
        try:
            return serve("kueue", folder, state, settings)
        finally:
            shutil.rmtree(state, ignore_errors=True)


def try_htcondor() -> int:
    """A pool in one container, with apptainer on its worker node. The first time its root file system is made of Debian's packages."""
    if os.geteuid() != 0:
        raise Missing("an HTCondor pool of its own can only be started by root: run this as root.")
    install([*docker_packages(), *busybox_packages(), *root_packages()], "An HTCondor pool")
    say("HTCondor pool: central manager, schedd and a worker node in one container; made of Debian’s packages the first time (minutes)")
    with running_pool() as pool, run_directory() as folder:
        say(f"HTCondor pool: HTCondor {pool.version()} at {pool.address}")
        state = folder / "htcondor-state"
        told = {**QUICK, **pool.settings(state / "tokens"), "follow.event_log": pool.event_log}
        try:
            return serve("htcondor", folder, state, {environment_name(key): as_text(value) for key, value in told.items()})
        finally:
            shutil.rmtree(state, ignore_errors=True)


def try_arc() -> int:
    """A computing element in one container, with apptainer for its jobs. The first time its root file system is made as a pool's is."""
    if os.geteuid() != 0:
        raise Missing("an ARC computing element of its own can only be started by root: run this as root.")
    install([*docker_packages(), *busybox_packages(), *root_packages()], "An ARC computing element")
    say("ARC computing element: A-REX in one container, whose jobs run on the spot; made of Debian’s packages the first time (minutes)")
    with running_ce() as ce, run_directory() as folder:
        say(f"ARC computing element: ARC {ce.version()} at {ce.url}")
        state = folder / "arc-state"
        told = {**QUICK_ARC, **ce.settings()}
        try:
            return serve("arc", folder, state, {environment_name(key): as_text(value) for key, value in told.items()})
        finally:
            shutil.rmtree(state, ignore_errors=True)


BACKENDS: Mapping[str, Callable[[], int]] = {"docker": try_docker, "kueue": try_kueue, "htcondor": try_htcondor, "arc": try_arc}


def serve(name: str, folder: Path, state: Path, settings: Mapping[str, str]) -> int:
    """Serves in the foreground. The terminal's Ctrl-C reaches the plugin too: it ends in order while we wait."""
    listen = f"unix://{folder}/{name}.sock"
    say(f"In another terminal: .venv/bin/interlink-plugin run examples/batch.yaml --connect {listen}\nCtrl-C ends this.\n")
    told = {"LISTEN": listen, "STATE_DIR": str(state), "TELEMETRY__LOG_FORMAT": "console", **settings}
    environment = os.environ | {f"INTERLINK_PLUGIN_{key}": value for key, value in told.items()}
    process = subprocess.Popen([Path(sys.executable).with_name("interlink-plugin"), "serve", name], env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return process.wait()
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()


def main(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "docker"
    if name not in BACKENDS:
        raise Missing(f"there is no backend {name} to try; these exist: {', '.join(BACKENDS)}.")
    return BACKENDS[name]()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except Missing as gap:
        sys.exit(f"make try: {gap}")
