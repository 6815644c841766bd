"""A plugin of a batch system as a process, pods for it, what they come to, and the hands of the batch system's administrator."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from interlink_common.virtualkubelet.bodies import NodeOptions, VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from interlink_common.virtualkubelet.manifests import Manifests
from tests.servers.plugin import BatchPlugin

PATIENCE_SECONDS = 90.0
FOREVER = "trap 'exit 7' TERM; echo here; while :; do sleep 1 & wait $!; done"


PluginType = TypeVar("PluginType", bound=BatchPlugin)


class Site(Generic[PluginType]):
    """An async context: afterwards the pods are deleted, and nothing of them may be left. `image`: with a shell, at any node."""

    def __init__(self, plugin: PluginType, directory: Path, image: str) -> None:
        self.plugin = plugin
        self.client = PluginClient(plugin.listen)
        self.made: list[VirtualPod] = []
        self.image = image
        self._names = (f"{directory.name}-{number}"[-60:].strip("-_").replace("_", "-").lower() for number in itertools.count())

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.plugin.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.delete_all()
        finally:
            await self.client.close()
            await asyncio.to_thread(self.plugin.stop)

    async def delete_all(self) -> None:
        for pod in self.made:
            await self.client.delete(pod, grace_seconds=0)
        for pod in self.made:
            await self.emptied(pod)
        self.made.clear()

    async def emptied(self, pod: VirtualPod) -> None:
        await until(lambda: not self.plugin.found(pod.uid), f"something of {pod.name} is left")

    def make(
        self,
        script: str = "true",
        *,
        metadata: Mapping[str, Any] | None = None,
        container: Mapping[str, Any] | None = None,
        secrets: Mapping[str, Any] | None = None,
        others: Sequence[Mapping[str, Any]] = (),
        **spec: Any,
    ) -> VirtualPod:
        """A pod with one container that runs a shell script, and whatever else is said of it."""
        main = {"name": "main", "image": self.image, "command": ["sh", "-c", script], **(container or {})}
        document = {
            "metadata": {**(metadata or {}), "name": next(self._names)},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [main, *others], **spec},
        }
        pod = VirtualPod.admit(Manifests(document, {}, secrets or {}), NodeOptions(), now=time.time())
        self.made.append(pod)
        return pod

    async def start(self, script: str = "true", **pod: Any) -> VirtualPod:
        made = self.make(script, **pod)
        await self.client.create(made)
        return made

    async def running(self, pod: VirtualPod) -> VirtualPod:
        return await self.client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)

    async def ended(self, pod: VirtualPod) -> VirtualPod:
        return await self.client.wait_for(pod, lambda seen: seen.ended, timeout_seconds=PATIENCE_SECONDS)

    async def waiting(self, pod: VirtualPod, reason: str, words: str = "") -> str:
        """The message, once the pod waits for that reason, and says so with these words."""

        def waits(seen: VirtualPod) -> bool:
            told = state(seen, "waiting")
            return bool(told.get("reason") == reason and words in told["message"])

        await self.client.wait_for(pod, waits, timeout_seconds=PATIENCE_SECONDS)
        return str(state(pod, "waiting")["message"])

    async def logged(self, pod: VirtualPod, text: str, **options: Any) -> None:
        """Waits until the log is so: a container's first line may be told later than that it runs."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (found := await self.client.read_logs(pod, "main", **options)) != text:
            assert time.monotonic() < deadline, f"the log of {pod.name} is {found!r}"
            await asyncio.sleep(0.2)

    def job(self, pod: VirtualPod) -> str:
        """The job's id, as the pod is told."""
        return str(pod.document["metadata"]["annotations"]["JobID"])

    # What the administrator of the batch system can do: each batch system has its own way.

    async def end_job(self, pod: VirtualPod) -> None:
        """Ends the pod's job, as somebody does who does not know of us."""
        raise NotImplementedError

    async def kill_podrunners(self) -> None:
        """On the worker node, with SIGKILL."""
        raise NotImplementedError

    def services_down(self) -> AbstractAsyncContextManager[None]:
        """The services crash, and jobs go on; afterwards the services are there again."""
        raise NotImplementedError

    def network_cut(self) -> AbstractAsyncContextManager[None]:
        """Nothing answers, and nothing is refused."""
        raise NotImplementedError

    async def starts(self, pod: VirtualPod) -> int:
        """How often a job of the pod was started on a worker node, ever."""
        raise NotImplementedError

    async def start_foreign_job(self) -> str:
        """Of the same user, and not of a plugin."""
        raise NotImplementedError

    async def has_foreign_job(self, job: str) -> bool:
        raise NotImplementedError

    async def end_foreign_job(self, job: str) -> None:
        raise NotImplementedError


def state(pod: VirtualPod, kind: str, container: str = "main") -> dict[str, Any]:
    """The container's state of that kind, empty if it is in another."""
    return dict(pod.container_status(container)["state"].get(kind) or {})


def exit_code(pod: VirtualPod, container: str = "main") -> int:
    return int(state(pod, "terminated", container)["exitCode"])


async def until(what: Callable[[], bool], otherwise: str) -> None:
    """Looks, in a thread, until it is so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await asyncio.to_thread(what):
        assert time.monotonic() < deadline, otherwise
        await asyncio.sleep(0.2)
