"""A plugin process that tests kill at a fault point: `victim.py STATE SITE VERB...`, on a site whose jobs are files and so outlive it.

Does the verbs, waits until nothing is left to do, and prints what is on record and what is on the site.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar

from interlink_common.backend import Backend, FoundJob, Job, LogQuery, NodeCapacity, Observation
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.serve.server import running_node
from interlink_common.settings import PluginSettings
from interlink_common.tracking.pods import Intent

POD = {
    "metadata": {"name": "p", "namespace": "default", "uid": "0266151f-3486-47f5-8383-9fcc9877a359"},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
}


class FileBackend(Backend):
    """A job is a file; a submit appends one line to it, so that a second submit shows."""

    name: ClassVar[str] = "files"

    def __init__(self, settings: PluginSettings, site: Path) -> None:
        super().__init__(settings)
        self.site = site

    async def submit(self, workload: Workload) -> str:
        with (self.site / workload.uid).open("a") as job:
            job.write("submitted\n")
        return f"jid-{workload.uid}"

    async def inventory(self) -> Sequence[FoundJob]:
        return [FoundJob(path.name, f"jid-{path.name}") for path in self.site.iterdir()]

    async def observe(self) -> AsyncIterator[Observation]:
        while True:
            await asyncio.Event().wait()
            yield Observation("", PodReport(()))

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        yield b""

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        (self.site / job.pod_uid).unlink(missing_ok=True)

    async def capacity(self) -> NodeCapacity:
        return NodeCapacity()


async def main(state: str, site: str, *verbs: str) -> None:
    settings = PluginSettings(state_dir=Path(state))
    async with running_node(FileBackend(settings, Path(site)), settings) as node:
        registry = node.registry
        await registry.backend.up.wait()
        answers = []
        for verb in verbs:
            if verb == "create":
                answers.append(json.loads(await node.create(json.dumps({"pod": POD, "container": None}).encode())))
            else:
                await node.delete(json.dumps(POD).encode())
        while registry.todo.qsize() or any(pod.intent is not Intent.ACTIVE for pod in registry.pods.values()):  # noqa: ASYNC110  no event for it
            await asyncio.sleep(0.01)
        found = {
            "pods": {pod.uid: pod.jid for pod in registry.pods.values()},
            "graves": sorted(registry.tombstones),
            "jobs": {path.name: path.read_text().count("submitted") for path in Path(site).iterdir()},  # noqa: ASYNC240  a few small files
            "answers": [answer["PodJID"] for answer in answers],
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
