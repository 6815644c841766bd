"""A plugin in front of a computing element, pods for it, and a look at their jobs from the element's side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from interlink_common.virtualkubelet.bodies import VirtualPod
from tests.live.site import FOREVER, PATIENCE_SECONDS, exit_code, state, until
from tests.live.site import Site as BatchSite
from tests.servers.arc import ComputingElement
from tests.servers.arc_plugin import POD_IMAGE, ArcPlugin

__all__ = ["FOREIGN_JOB", "FOREVER", "PATIENCE_SECONDS", "Site", "exit_code", "state", "until"]

FOREIGN_JOB = """\
<ActivityDescription xmlns="http://www.eu-emi.eu/es/2010/12/adl"><ActivityIdentification><Name>theirs</Name></ActivityIdentification>
<Application><Executable><Path>/bin/sleep</Path><Argument>600</Argument></Executable></Application></ActivityDescription>"""


class Site(BatchSite[ArcPlugin]):
    """`settings` as in `ArcPlugin`, for a user of the computing element."""

    def __init__(self, ce: ComputingElement, directory: Path, settings: Mapping[str, object] | None = None, *, user: str = "alice") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ce = ce
        super().__init__(ArcPlugin(ce, directory, settings, user=user), directory, POD_IMAGE)

    def id(self, pod: VirtualPod) -> str:
        """Of the pod's job, as the computing element knows it."""
        return self.job(pod).rpartition("/")[2]

    async def run(self, command: str) -> str:
        """At the computing element, as its administrator."""
        return await asyncio.to_thread(self.ce.run, command)

    async def asked(self, method: str, path: str, **what: Any) -> httpx.Response:
        """Of the REST interface, as the same user with another client."""

        def ask() -> httpx.Response:
            with self.ce.client(self.ce.proxy) as client:
                return client.request(method, path, **what)

        return await asyncio.to_thread(ask)

    async def end_job(self, pod: VirtualPod) -> None:
        await self.act("kill", pod)

    async def kill_podrunners(self) -> None:
        await self.run("pkill -KILL -f '[ ]-I -S -B /session'")

    @asynccontextmanager
    async def services_down(self) -> AsyncIterator[None]:
        await asyncio.to_thread(self.ce.kill)
        try:
            yield
        finally:
            await asyncio.to_thread(self.ce.restart)

    @asynccontextmanager
    async def network_cut(self) -> AsyncIterator[None]:
        self.ce.pause()
        try:
            yield
        finally:
            self.ce.unpause()

    async def starts(self, pod: VirtualPod) -> int:
        """Jobs that A-REX brought to its back-end, and saw end there: only they have an id of the back-end's in its log."""
        return int(await self.run(f"grep 'Finished - .*interlink-{pod.uid}' /var/log/arc/jobs.log | grep -c lrmsid || true"))

    async def start_foreign_job(self) -> str:
        answer = await self.asked(
            "POST", "/jobs", params={"action": "new"}, content=FOREIGN_JOB.encode(), headers={"Content-Type": "application/xml"}
        )
        job = answer.json()["job"]
        return str((job[0] if isinstance(job, list) else job)["id"])

    async def has_foreign_job(self, job: str) -> bool:
        return job in {str(each["id"]) for each in (await self.asked("GET", "/jobs")).json()["job"]}

    async def end_foreign_job(self, job: str) -> None:
        for action in ("kill", "clean"):
            await self.asked("POST", "/jobs", params={"action": action}, json={"job": [{"id": job}]})
            await asyncio.sleep(2)

    async def act(self, action: str, pod: VirtualPod) -> None:
        answer = await self.asked("POST", "/jobs", params={"action": action}, json={"job": [{"id": self.id(pod)}]})
        assert answer.status_code == httpx.codes.CREATED

    async def described(self, pod: VirtualPod) -> str:
        """The description of the pod's job."""
        return (await self.asked("GET", f"/jobs/{self.id(pod)}/diagnose/description")).text
