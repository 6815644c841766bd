"""A Docker engine for the demo and for trying things: the one that is there, else the tests' private one, which leaves nothing behind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError

from scripts.packages import Missing, busybox_packages, docker_packages, install, say
from tests.servers.docker_engine import NO_ANSWER, PAUSE_SCRIPT, DockerEngine, busybox_archive

DEFAULT_SOCKET = Path("/var/run/docker.sock")
SERVICE_START_SECONDS = 60

DEMO_IMAGE = "localhost/interlink-demo:1"
PAUSE_IMAGE = "localhost/interlink-demo-pause:1"
IMAGES = {
    DEMO_IMAGE: ["ENV PATH=/bin", 'CMD ["/bin/sh"]'],
    PAUSE_IMAGE: ["ENV PATH=/bin", f'ENTRYPOINT ["/bin/sh", "-c", "{PAUSE_SCRIPT}"]'],
}


@dataclass(frozen=True)
class Engine:
    """An engine that answers at `url`. `own`: it and all that runs on it ends with this command."""

    url: str
    own: bool = False


@contextmanager
def engine() -> Iterator[Engine]:
    """An engine to work with, only started if none is there. Raises Missing, with the remedy, if there can be none."""
    given = os.environ.get("DOCKER_HOST", "")
    address = given or f"unix://{DEFAULT_SOCKET}"
    if answers(address):
        say(f"Docker engine: the one on {address}")
        yield Engine(address)
        return
    if given:
        raise Missing(f"DOCKER_HOST is {given}, but no Docker engine answers there.")
    if DEFAULT_SOCKET.is_socket() and not os.access(DEFAULT_SOCKET, os.R_OK | os.W_OK):
        raise Missing(f"You may not use {DEFAULT_SOCKET}: join its group {DEFAULT_SOCKET.group()} and log in again, or run this as root.")
    if os.geteuid() != 0:
        raise Missing(f"No Docker engine answers on {address}, and only root can start one: start it, or run this as root.")
    packages = docker_packages()
    install(packages, "A Docker engine")
    if packages and init_runs() and wait_for(address):
        say(f"Docker engine: the service of the package docker.io, on {address}")
        yield Engine(address)
        return
    own = DockerEngine()
    try:
        try:
            own.start()
        except RuntimeError as error:
            raise Missing(str(error)) from None
        say("Docker engine: none was running, so one was started for this command alone")
        yield Engine(own.url, own=True)
    finally:
        own.remove()


def init_runs() -> bool:
    """Whether an init system starts the services of installed packages: sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def answers(address: str) -> bool:
    try:
        client = docker.APIClient(base_url=address, timeout=10)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except NO_ANSWER:
        return False


def wait_for(address: str) -> bool:
    deadline = time.monotonic() + SERVICE_START_SECONDS
    while not answers(address):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@contextmanager
def demo_images(url: str) -> Iterator[None]:
    """The images of the examples, made of busybox without any registry; those that were not there before go again."""
    install(busybox_packages(), "The demo's images")
    client = docker.APIClient(base_url=url, timeout=60)
    try:
        missing = [name for name in IMAGES if not exists(client, name)]
        for name in missing:
            repository, _, tag = name.rpartition(":")
            client.import_image_from_data(busybox_archive(), repository=repository, tag=tag, changes=IMAGES[name])
            say(f"Image: {name}, made of busybox")
        try:
            yield
        finally:
            for name in missing:
                remove(client, name)
    finally:
        client.close()


def exists(client: docker.APIClient, name: str) -> bool:
    return bool(client.images(name, quiet=True))


def remove(client: docker.APIClient, name: str) -> None:
    try:
        client.remove_image(name)
    except APIError as error:
        say(f"Image {name} stays: {error.explanation}")
