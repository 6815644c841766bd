"""The HTCondor plugin in front of a real pool: submits coalesced and single beside raw htcondor2, following 10,000 jobs, a log line's way.

Prints JSON. Starts a pool of its own (root, Debian).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from interlink_common.backend import Job, LogQuery
from interlink_common.model.workload import Container, Resources, Workload
from interlink_htcondor import ads
from interlink_htcondor.backend import HTCondorBackend
from interlink_htcondor.journal import SpoolJournal
from interlink_htcondor.quoting import quoted
from interlink_htcondor.settings import HTCondorSettings
from tests.servers.htcondor import HOSTNAME, Pool, running_pool

PODS = 1000
QUEUED = 10_000
LINES = 20
LARGE_BYTES = 32 * 2**20


def settings(pool: Pool, directory: Path, **groups: Any) -> HTCondorSettings:
    return HTCondorSettings(
        state_dir=directory / "state",
        instance=str(directory),
        pool={"collector": pool.address, "schedd": HOSTNAME, "transfer_timeout_seconds": 600},
        credential={"token_file": pool.token("site", directory / "site.token")},
        runner={"runtimes": ["process"]},
        follow={"poll_seconds": 0.3, **groups.pop("follow", {})},
        **groups,
    )


def pod(number: int, script: str = "true") -> Workload:
    main = Container("main", "none", command=("sh", "-c", script))
    return Workload(f"uid-{number}", f"p{number}", "default", (main,), restart_policy="Never", size=Resources(1000, 2**26, 2**24))


async def submits(pool: Pool, directory: Path) -> dict[str, Any]:
    """Pods that never start, so that only the queue is measured."""
    backend = HTCondorBackend(settings(pool, directory, job={"requirements": "false"}))
    await backend.start(())
    await backend.submit(pod(0))
    began = time.perf_counter()
    await asyncio.gather(*(backend.submit(pod(number)) for number in range(1, PODS + 1)))
    together = time.perf_counter() - began
    singles = PODS // 5
    began = time.perf_counter()
    for number in range(2000, 2000 + singles):
        await backend.submit(pod(number))
    single = (time.perf_counter() - began) / singles * PODS
    process = backend._identities.own.orders
    began = time.perf_counter()
    for number in range(3000, 3000 + singles):
        raw = await raw_description(backend, directory, number)
        await process.call("submit", timeout_seconds=60, template=raw, items=[{"v0": raw["initialdir"]}])
    raw_single = (time.perf_counter() - began) / singles * PODS
    await backend.close()
    return {
        "pods": PODS,
        "together_seconds": round(together, 2),
        "single_seconds": round(single, 2),
        "raw_single_seconds": round(raw_single, 2),
        "gain": round(single / together, 1),
    }


async def raw_description(backend: HTCondorBackend, directory: Path, number: int) -> dict[str, str]:
    """What a plain script would submit: the same files, and nothing kept of it."""
    place = directory / "raw" / str(number)
    await asyncio.to_thread(place.mkdir, parents=True)
    await asyncio.to_thread((place / "pod.json").write_text, "{}")
    described = backend._describe(replace(pod(number), uid=f"raw-{number}"))
    return {**described, "initialdir": str(place), f"My.{ads.INSTANCE}": quoted("raw")}


async def status(pool: Pool, directory: Path) -> dict[str, Any]:
    """One look at a queue with so many jobs of ours, and what it costs the plugin's own process."""
    backend = HTCondorBackend(settings(pool, directory, job={"requirements": "false"}))
    await backend.start(())
    await asyncio.gather(*(backend.submit(pod(number)) for number in range(QUEUED)))
    follower = backend.follower
    await follower.look()
    looks, cpu = [], time.process_time()
    for _ in range(5):
        began = time.perf_counter()
        await follower.look()
        for _ in follower._reports_of_changed():
            pass
        looks.append(time.perf_counter() - began)
    cpu = (time.process_time() - cpu) / len(looks)
    query_seconds = follower.look_seconds
    await backend.close()
    return {
        "jobs": QUEUED,
        "query_seconds": round(query_seconds, 2),
        "look_seconds": round(statistics.median(looks), 2),
        "plugin_cpu_seconds": round(cpu, 2),
    }


async def first_bytes(pool: Pool, directory: Path, **follow: Any) -> dict[str, float]:
    """From a container's write to a follower's read: each line is the time at which it was written."""
    backend = HTCondorBackend(settings(pool, directory, follow=follow))
    await backend.start(())
    script = f"sleep 2; for n in $(seq {LINES}); do date +%s.%N; sleep 1; done"
    running = pod(0, script)
    jid = await backend.submit(running)
    observing = asyncio.ensure_future(watch(backend))
    while not backend.follower.pods[running.uid].journal.attempts("main"):  # noqa: ASYNC110  another process starts it
        await asyncio.sleep(0.1)
    delays: list[float] = []
    async for chunk in backend.logs(Job(running.uid, jid, running), LogQuery("main", follow=True)):
        delays += [time.time() - float(line) for line in chunk.split()]
    observing.cancel()
    await asyncio.gather(observing, return_exceptions=True)
    await backend.close()
    return {"p50_ms": round(statistics.median(delays) * 1000), "max_ms": round(max(delays) * 1000)}


class CountingJournal(SpoolJournal):
    """Counts what each fetch brought: the files of the job, and all chunks that lay in its spool."""

    fetched_bytes = 0

    def take(self, news: ads.News, *, all_of_it: bool = False) -> bool:
        CountingJournal.fetched_bytes += sum(path.stat().st_size for path in self.submit_directory.iterdir())
        return super().take(news, all_of_it=all_of_it)


class CountingBackend(HTCondorBackend):
    journal_type = CountingJournal


async def large_log(pool: Pool, directory: Path) -> dict[str, float]:
    """How much is fetched for a pod that writes as fast as it may, until all of its log is here."""
    backend = CountingBackend(settings(pool, directory))
    await backend.start(())
    writing = pod(0, f"yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678 | head -c {LARGE_BYTES}")
    began = time.perf_counter()
    jid = await backend.submit(writing)
    observing = asyncio.ensure_future(watch(backend))
    while (report := backend.follower.pods[writing.uid].last_report) is None or not report.finished:  # noqa: ASYNC110  as above
        await asyncio.sleep(0.1)
    seconds = time.perf_counter() - began
    logged = 0
    async for chunk in backend.logs(Job(writing.uid, jid, writing), LogQuery("main")):
        logged += len(chunk)
    observing.cancel()
    await asyncio.gather(observing, return_exceptions=True)
    stream = sum(path.stat().st_size for path in backend.directory(writing.uid).glob("log/*"))
    await backend.close()
    return {"logged_mib": round(logged / 2**20), "stream_mib": round(stream / 2**20, 1),
            "fetched_mib": round(CountingJournal.fetched_bytes / 2**20, 1), "seconds": round(seconds, 1)}  # fmt: skip


async def watch(backend: HTCondorBackend) -> None:
    async for _ in backend.observe():
        pass


async def main() -> None:
    with running_pool() as pool, tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = {"htcondor": pool.version(), "when": time.strftime("%Y-%m-%d")}
        by_log = partial(first_bytes, event_log=pool.event_log, resync_seconds=60)
        # The queue of ten thousand comes last: the schedd is busy for long with what is removed of it.
        parts: dict[str, Callable[[Pool, Path], Awaitable[dict[str, Any]]]] = {
            "first_byte": first_bytes,
            "first_byte_event_log": by_log,
            "large_log": large_log,
            "submit": submits,
            "status": status,
        }
        for name, part in parts.items():
            print(f"  {name} ...", file=sys.stderr, flush=True)
            directory = Path(folder) / name
            directory.mkdir()
            result[name] = await part(pool, directory)
    print(json.dumps(result))


if __name__ == "__main__":
    asyncio.run(main())
