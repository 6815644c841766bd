"""The ARC plugin in front of a real computing element: submits beside pyarcrest, what following many jobs costs, a log line's way.

Prints JSON. Starts a computing element of its own (root, Debian).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pyarcrest.arc import ARCRest

from interlink_arc.backend import ArcBackend
from interlink_arc.client import Element
from interlink_arc.settings import ArcSettings
from interlink_arc.translate import describe
from interlink_common.backend import Job, LogQuery
from interlink_common.jobbundle.bundle import START, build_one_file
from interlink_common.model.workload import Container, Resources, Workload
from tests.servers.arc import ComputingElement, running_ce

PODS = 500
SINGLES = 50
QUEUED = 5_000
LINES = 20
ROUNDS_SECONDS = 30.0
POLL_SECONDS = 2.0


def settings(ce: ComputingElement, directory: Path, **groups: Any) -> ArcSettings:
    return ArcSettings.model_validate(
        {
            "state_dir": directory / "state",
            "instance": str(directory),
            "ces": {"test": {"url": ce.url, "queue": "main"}},
            "credential": {"proxy_file": ce.proxy},
            "trust": {"ca_directory": ce.certificates},
            "runner": {"runtimes": ["process"]},
            "call_timeout_seconds": 600,
            **groups,
        }
    )


def pod(number: int, script: str = "true") -> Workload:
    main = Container("main", "none", command=("sh", "-c", script))
    return Workload(f"uid-{number}", f"p{number}", "default", (main,), restart_policy="Never", size=Resources(1000, 2**26, 2**24))


async def submits(ce: ComputingElement, directory: Path) -> dict[str, Any]:
    """Until each job has its file. The element lets none of them start, so that only its interface is measured."""
    backend = ArcBackend(settings(ce, directory))
    await backend.start(())
    await backend.submit(pod(0))
    began = time.perf_counter()
    await asyncio.gather(*(backend.submit(pod(number)) for number in range(1, PODS + 1)))
    together = (time.perf_counter() - began) / PODS
    began = time.perf_counter()
    for number in range(2000, 2000 + SINGLES):
        await backend.submit(pod(number))
    single = (time.perf_counter() - began) / SINGLES
    theirs = await asyncio.to_thread(pyarcrest_submits, ce, backend)
    await backend.close()
    return {
        "pods": PODS,
        "together_per_second": round(1 / together, 1),
        "single_per_second": round(1 / single, 1),
        "pyarcrest_per_second": round(1 / theirs, 1),
        "gain": round(single / together, 1),
    }


def pyarcrest_submits(ce: ComputingElement, backend: ArcBackend) -> float:
    """Seconds for a job, one after the other: the same descriptions and file."""
    client = ARCRest.getClient(url=ce.url.removesuffix("/arex"), proxypath=str(ce.proxy))
    data = build_one_file(pod(0), backend.runner_config)
    began = time.perf_counter()
    for number in range(4000, 4000 + SINGLES):
        [made] = client.createJobs(describe(pod(number), "main", backend._settings).decode())
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            client.uploadFile(made.value[0], START, file.name)
    seconds = (time.perf_counter() - began) / SINGLES
    client.close()
    return seconds


async def following(ce: ComputingElement, directory: Path) -> dict[str, Any]:
    """The requests and the cpu of a plugin that follows so many jobs, which wait for their file."""
    backend = ArcBackend(settings(ce, directory, follow={"poll_seconds": POLL_SECONDS}, jobs_per_call=500))
    await backend.start(())
    [site] = backend._sites.all()
    for start in range(0, QUEUED, 500):
        pods = [pod(number) for number in range(start, start + 500)]
        ids = await site.element.submit([describe(each, "main", backend._settings) for each in pods])
        for each, job in zip(pods, ids, strict=True):
            assert isinstance(job, str)
            backend._take_on(each, f"{site.url}/{job}")
    counted: Counter[str] = Counter()
    request = Element._request

    async def counting(self: Element, method: str, path: str, **what: Any) -> Any:
        counted[f"{method} {path.partition('?')[0]}"] += 1
        return await request(self, method, path, **what)

    Element._request = counting  # type: ignore[method-assign]
    watching = asyncio.ensure_future(watch(backend))
    await asyncio.sleep(2 * POLL_SECONDS)
    counted.clear()
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.sleep(ROUNDS_SECONDS)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - began
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    Element._request = request  # type: ignore[method-assign]
    await backend.close()
    return {
        "jobs": QUEUED,
        "requests_per_round": round(sum(counted.values()) / (seconds / POLL_SECONDS), 1),
        "cpu_share": round(cpu / seconds, 3),
        "poll_seconds": POLL_SECONDS,
    }


async def first_bytes(ce: ComputingElement, directory: Path) -> dict[str, float]:
    """From a container's write to a follower's read: each line is the time at which it was written."""
    backend = ArcBackend(settings(ce, directory, follow={"poll_seconds": 0.5}))
    await backend.start(())
    running = pod(0, f"sleep 2; for n in $(seq {LINES}); do date +%s.%N; sleep 1; done")
    jid = await backend.submit(running)
    watching = asyncio.ensure_future(watch(backend))
    while not backend.follower.pods[running.uid].journal.attempts("main"):  # noqa: ASYNC110  another process starts it
        await asyncio.sleep(0.1)
    delays: list[float] = []
    async for chunk in backend.logs(Job(running.uid, jid, running), LogQuery("main", follow=True)):
        delays += [time.time() - float(line) for line in chunk.split()]
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    await backend.close()
    return {"poll_ms": 500, "p50_ms": round(statistics.median(delays) * 1000), "max_ms": round(max(delays) * 1000)}


async def watch(backend: ArcBackend) -> None:
    async for _ in backend.observe():
        pass


async def main() -> None:
    parts: dict[str, tuple[int, Callable[[ComputingElement, Path], Awaitable[dict[str, Any]]]]] = {
        "first_byte": (16, first_bytes),
        "submit": (1, submits),
        "following": (1, following),
    }
    result: dict[str, Any] = {"when": time.strftime("%Y-%m-%d")}
    for name, (running_jobs, part) in parts.items():
        print(f"  {name} ...", file=sys.stderr, flush=True)
        with running_ce(running_jobs=running_jobs) as ce, tempfile.TemporaryDirectory() as folder:
            result["arc"] = ce.version()
            result[name] = await part(ce, Path(folder))
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
