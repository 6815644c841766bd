"""A plugin in front of a computing element, pods for it, and a look at their jobs from the element's side."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from interlink_common.virtualkubelet.bodies import VirtualPod
from tests.live.site import FOREVER, PATIENCE_SECONDS, exit_code, state, until
from tests.live.site import Site as BatchSite
from tests.servers.arc import ComputingElement
from tests.servers.arc_plugin import POD_IMAGE, ArcPlugin

__all__ = ["FOREVER", "PATIENCE_SECONDS", "Site", "exit_code", "state", "until"]


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

    async def act(self, action: str, pod: VirtualPod) -> None:
        answer = await self.asked("POST", "/jobs", params={"action": action}, json={"job": [{"id": self.id(pod)}]})
        assert answer.status_code == httpx.codes.CREATED

    async def described(self, pod: VirtualPod) -> str:
        """The description of the pod's job."""
        return (await self.asked("GET", f"/jobs/{self.id(pod)}/diagnose/description")).text
