"""The Docker plugin beside the raw engine: time to a running container, and log throughput. Needs root and dockerd."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import tempfile
import threading
import time
import uuid
from contextlib import aclosing
from pathlib import Path
from typing import Any

import docker

from benchmarks.wire import RawClient, http_request, lag_of, sample_lag
from interlink_common.backend import Job
from interlink_common.lifecycle.interface import AttemptStatus
from interlink_common.lifecycle.memory import PodMemory, to_checkpoint
from interlink_common.model.workload import Container, Workload
from interlink_docker.backend import DockerBackend
from interlink_docker.checkpoints import Checkpoints
from interlink_docker.settings import DockerSettings, EngineSettings
from tests.servers.docker_engine import BUSYBOX_IMAGE, PAUSE_IMAGE, DockerEngine
from tests.servers.docker_plugin import DockerPlugin

LOG_MIB = 64
LINE = "0123456789" * 10


def pod(uid: str, command: list[str]) -> dict[str, Any]:
    return {
        "metadata": {"name": f"bench-{uid[:8]}", "namespace": "default", "uid": uid},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": BUSYBOX_IMAGE, "command": command}],
        },
    }


class StartWatch:
    """When the engine started which container, from its own event stream (seconds since the epoch)."""

    def __init__(self, client: docker.APIClient) -> None:
        self._seen: dict[str, float] = {}
        self._news = threading.Condition()
        self._events = client.events(decode=True, filters={"event": "start"})
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for event in self._events:
            attributes = event["Actor"]["Attributes"]
            with self._news:
                pod_container = attributes.get("interlink.eu/pod-uid", "") + attributes.get("interlink.eu/container", "")
                self._seen[pod_container] = self._seen[attributes["name"]] = event["timeNano"] / 1e9
                self._news.notify_all()

    def wait(self, key: str) -> float:
        with self._news:
            if not self._news.wait_for(lambda: key in self._seen, timeout=30):
                raise RuntimeError(f"{key} did not start")
            return self._seen[key]


def raw_pod(client: docker.APIClient, uid: str) -> None:
    """The fewest engine calls that make a pod of one container."""
    sandbox = client.create_container_from_config(  # type: ignore[no-untyped-call]  # the stubs lack it
        {"Image": PAUSE_IMAGE, "HostConfig": {"IpcMode": "shareable"}}, f"raw-sandbox-{uid}"
    )
    client.start(sandbox)
    shared = f"container:{sandbox['Id']}"
    config = {"Image": BUSYBOX_IMAGE, "Entrypoint": ["sleep", "600"], "HostConfig": {"NetworkMode": shared, "IpcMode": shared}}
    main = client.create_container_from_config(config, f"raw-main-{uid}")  # type: ignore[no-untyped-call]  # the stubs lack it
    client.start(main)


def creates(engine: DockerEngine, plugin: RawClient, rounds: int = 30) -> dict[str, Any]:
    """Seconds from the first byte sent to the engine's own start event of the container, in turn with the raw calls."""
    raw_seconds, plugin_seconds = [], []
    with engine.client() as client, engine.client() as events:
        watch = StartWatch(events)
        time.sleep(0.5)
        for index in range(rounds + 3):
            uid = str(uuid.uuid4())
            begin = time.time()
            raw_pod(client, uid)
            raw = watch.wait(f"raw-main-{uid}") - begin
            for name in (f"raw-main-{uid}", f"raw-sandbox-{uid}"):
                client.remove_container(name, force=True)
            body = json.dumps({"pod": pod(uid, ["sleep", "600"]), "container": [{"name": "main"}]}).encode()
            begin = time.time()
            plugin.call(http_request("POST", "/create", body))
            ours = watch.wait(uid + "main") - begin
            plugin.call(http_request("POST", "/delete", json.dumps(pod(uid, [])).encode()))
            time.sleep(0.7)
            if index >= 3:
                raw_seconds.append(raw)
                plugin_seconds.append(ours)
    raw, ours = statistics.median(raw_seconds), statistics.median(plugin_seconds)
    return {"raw_ms": round(raw * 1e3, 1), "plugin_ms": round(ours * 1e3, 1), "ratio": round(ours / raw, 3), "rounds": rounds}


def drain(path: str, request: bytes) -> tuple[int, float]:
    """Bytes of a whole answer and the seconds it took, read as fast as a socket gives them."""

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        begin = time.perf_counter()
        connection.sendall(request)
        received = 0
        while chunk := connection.recv(1 << 20):
            received += len(chunk)
            if chunk.endswith(b"0\r\n\r\n"):
                break
        return received, time.perf_counter() - begin


def logs(engine: DockerEngine, plugin: RawClient, socket_path: str, rounds: int = 5) -> dict[str, Any]:
    """MiB/s of log text: GET /getLogs beside GET /containers/ID/logs on the engine's own socket."""
    uid = str(uuid.uuid4())
    command = ["sh", "-c", f"yes {LINE} | head -c {LOG_MIB * 1024 * 1024}"]
    body = {"pod": pod(uid, command), "container": [{"name": "main"}]}
    plugin.call(http_request("POST", "/create", json.dumps(body).encode()))
    status = http_request("GET", "/status", json.dumps([pod(uid, command)]).encode())
    while b'"terminated"' not in plugin.call(status):
        time.sleep(0.2)
    with engine.client() as client:
        found = client.containers(all=True, filters={"label": [f"interlink.eu/pod-uid={uid}", "interlink.eu/container=main"]})
    raw_path = f"/v1.41/containers/{found[0]['Id']}/logs?stdout=1&stderr=1"
    query = {"Namespace": "default", "PodUID": uid, "PodName": f"bench-{uid[:8]}", "ContainerName": "main", "Opts": {}}
    raw_request = f"GET {raw_path} HTTP/1.1\r\nHost: docker\r\n\r\n".encode()
    plugin_request = http_request("GET", "/getLogs", json.dumps(query).encode())
    raw_rates: list[float] = []
    plugin_rates: list[float] = []
    for _ in range(rounds):
        for path, request, rates in ((str(engine.socket), raw_request, raw_rates), (socket_path, plugin_request, plugin_rates)):
            received, seconds = drain(path, request)
            if received < LOG_MIB * 1024 * 1024:
                raise RuntimeError(f"only {received} bytes of log")
            rates.append(LOG_MIB / seconds)
    raw, ours = statistics.median(raw_rates), statistics.median(plugin_rates)
    return {"raw_mib_per_second": round(raw, 1), "plugin_mib_per_second": round(ours, 1), "ratio": round(ours / raw, 3)}


async def restart_lag(engine: DockerEngine, state_dir: Path, count: int = 2_000) -> dict[str, Any]:
    """The event loop's lag while the backend takes on pods that have ended, until it has told of each."""
    checkpoints = Checkpoints(settings := DockerSettings(state_dir=state_dir, engine=EngineSettings(url=engine.url)))
    jobs = []
    for number in range(count):
        uid = f"ended-{number}"
        ended = AttemptStatus(
            "main", 0, "exited", id=f"docker://{number}", started_at=1.0, finished_at=2.0, exit_code=0, reason="Completed"
        )
        await checkpoints.save(uid, to_checkpoint(PodMemory(started_at=1.0, finished=True, attempts=(ended,))))
        jobs.append(Job(uid, uid, Workload(uid, uid, "default", (Container("main", BUSYBOX_IMAGE),))))
    lags: list[float] = []
    backend = DockerBackend(settings)
    await backend.start([])
    sampler = asyncio.create_task(sample_lag(lags))
    begin = time.perf_counter()
    await backend.start(jobs)
    await backend.inventory()
    async with aclosing(backend.observe()) as observations:  # type: ignore[type-var]  # a generator, in fact
        for _ in range(count):
            await anext(observations)
    seconds = time.perf_counter() - begin
    sampler.cancel()
    await backend.close()
    return {"pods": count, "seconds": round(seconds, 2), **lag_of(lags)}


def measure() -> dict[str, Any]:
    engine = DockerEngine()
    try:
        engine.start()
        engine.install_images()
        with tempfile.TemporaryDirectory() as folder:
            plugin = DockerPlugin(engine, Path(folder), {"limits.log_bytes": 256 * 1024 * 1024})
            plugin.start()
            try:
                path = plugin.listen.removeprefix("unix://")
                client = RawClient(Path(path))
                time.sleep(1)
                with engine.client() as raw:
                    version = raw.version()["Version"]
                return {
                    "engine": version,
                    "create": creates(engine, client),
                    "logs": logs(engine, client, path),
                    "restart": asyncio.run(restart_lag(engine, Path(folder) / "ended")),
                }
            finally:
                plugin.stop()
    finally:
        engine.remove()


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
