"""The library alone, on a backend whose pods run for ever: status latency, memory, restart, loop lag."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.wire import RawClient, http_request, interleaved, lag_of

ROOT = Path(__file__).parents[1]
WIRE = ROOT / "tests" / "wire"
PING = http_request("GET", "/status", b"[]")


def recorded(name: str) -> Any:
    return json.loads((WIRE / name).read_text())["body"]


def create_body(uid: str) -> bytes:
    """The recorded one-container create under another UID."""
    body = copy.deepcopy(recorded("03-create-simple.json"))
    body["pod"]["metadata"] |= {"uid": uid, "name": f"pod-{uid[:8]}"}
    return json.dumps(body).encode()


def status_body(uid: str) -> bytes:
    """The recorded 13.7 KB status request, its containers cut to the one that was created; padded back to its size."""
    body = copy.deepcopy(recorded("06-status-rich-running.json"))
    size = len(json.dumps(body, separators=(",", ":")))
    pod = body[0]
    pod["metadata"] |= {"uid": uid, "name": f"pod-{uid[:8]}"}
    pod["spec"]["containers"] = [pod["spec"]["containers"][0] | {"name": "c0"}]
    pod["spec"]["initContainers"] = None
    pod["status"]["initContainerStatuses"] = None
    pod["metadata"]["annotations"]["padding"] = ""
    pod["metadata"]["annotations"]["padding"] = "x" * max(0, size - len(json.dumps(body, separators=(",", ":"))))
    return json.dumps(body, separators=(",", ":")).encode()


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError("no VmRSS")


@contextmanager
def server(module: str, socket: Path, *args: str) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A server process and the seconds until it answered its first request."""
    begin = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", f"benchmarks.{module}", str(socket), *args], cwd=ROOT) as process:
        try:
            while True:
                try:
                    RawClient(socket).call(PING)
                    break
                except (OSError, RuntimeError):
                    if process.poll() is not None:
                        raise RuntimeError(f"{module} ended with {process.returncode}") from None
                    time.sleep(0.01)
            yield process, time.perf_counter() - begin
        finally:
            process.terminate()
            process.wait(60)


def add_pods(socket: Path, uids: list[str]) -> float:
    """Creates them over 4 connections; the rate in pods/s."""

    def create(part: list[str]) -> None:
        client = RawClient(socket)
        for uid in part:
            client.call(http_request("POST", "/create", create_body(uid)))

    begin = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(create, [uids[index::4] for index in range(4)]))
    return len(uids) / (time.perf_counter() - begin)


def measure(counts: tuple[int, ...] = (10, 1_000, 10_000), rounds: int = 4_000) -> dict[str, Any]:
    result: dict[str, Any] = {"status": {}, "request_bytes": len(status_body(str(uuid.uuid4())))}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        socket, state = root / "plugin.sock", root / "state"
        uids: list[str] = []
        for count in counts:
            more = [str(uuid.uuid4()) for _ in range(count - len(uids))]
            with server("steady", socket, str(state)) as (process, _):
                if not uids:
                    result["idle_mib"] = resident_mib(process.pid)
                result["creates_per_second"] = round(add_pods(socket, more), 1)
                uids += more
                requests = [http_request("GET", "/status", status_body(uid)) for uid in uids[:: max(1, count // 500)]]
                answer = root / "answer"
                answer.write_bytes(RawClient(socket).call(requests[0]))
                with server("bare", root / "bare.sock", str(answer)):
                    clients = {"bare": (RawClient(root / "bare.sock"), requests), "plugin": (RawClient(socket), requests)}
                    result["status"][str(count)] = interleaved(clients, rounds)
                result["mib"] = resident_mib(process.pid)
            result["loop_lag"] = lag_of(json.loads((state / "lag.json").read_text()))
        with server("steady", socket, str(state)) as (process, seconds):
            result["restart_seconds"] = round(seconds, 2)
            begin = time.perf_counter()
            last = RawClient(socket)
            while not all(b'"running"' in last.call(http_request("GET", "/status", status_body(uid))) for uid in uids[:: len(uids) // 50]):
                time.sleep(0.01)
            result["restart_states_seconds"] = round(seconds + time.perf_counter() - begin, 2)
            result["restarted_mib"] = resident_mib(process.pid)
        result["restart_loop_lag"] = lag_of(json.loads((state / "lag.json").read_text()))
    return result


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
