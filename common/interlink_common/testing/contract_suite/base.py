"""What the contract suite stands on: the plugin under test, pods for it, and the three things a plugin's author overrides."""

from __future__ import annotations

import asyncio
import itertools
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from interlink_common.backend import Capabilities, Support
from interlink_common.testing.scripts import Script
from interlink_common.virtualkubelet.bodies import NodeOptions, VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from interlink_common.virtualkubelet.manifests import Manifests

Document = dict[str, Any]

PATIENCE_SECONDS = 90.0
"""How long the suite waits for anything: generous, because a slow machine is no fault of the plugin."""

_COUNTERS = "contract-counters"


class RunningPlugin(ABC):
    """A plugin that listens. `listen` is its address: unix:///path.sock or http://host:port."""

    listen: str

    @abstractmethod
    async def restart(self) -> None:
        """Kills the plugin as a crash would (no orderly stop), starts it again on the same state, and returns when it listens."""

    async def leftovers(self, pod_uid: str) -> list[str]:  # noqa: ARG002  for those who override it
        """What the backend still holds of that pod, in words. The suite wants it empty once the pod was deleted."""
        return []


def shell_container(name: str, image: str, script: Script) -> Document:
    """A v1.Container that does what the script says, for images with a POSIX shell and a sleep that takes fractions."""
    stop = f"sleep {script.stop_seconds:g}; exit 143"
    steps = [f"trap {shlex.quote(stop)} TERM"]
    mounts: list[Document] = []
    code = str(script.exit_codes[0])
    if len(script.exit_codes) > 1:
        mounts = [{"name": _COUNTERS, "mountPath": "/contract"}]
        counter = f"/contract/{name}"
        cases = "".join(f"{number}) code={value};; " for number, value in enumerate(script.exit_codes))
        steps += [
            f"n=$(cat {counter} 2>/dev/null || echo 0)",
            f"echo $((n + 1)) > {counter}",
            f"code={script.exit_codes[-1]}; case $n in {cases}esac",
        ]
        code = "$code"
    for line in script.lines:
        steps += [f"sleep {script.line_seconds:g} & wait $!"] if script.line_seconds else []
        steps.append(f"printf '%s\\n' {shlex.quote(line)}")
    if script.message:
        steps.append(f"printf %s {shlex.quote(script.message)} > /dev/termination-log")
    if script.seconds is None:
        steps.append("while :; do sleep 3600 & wait $!; done")
    elif script.seconds:
        steps.append(f"sleep {script.seconds:g} & wait $!")
    steps.append(f"exit {code}")
    return {"name": name, "image": image, "command": ["sh", "-c", "\n".join(steps)], "volumeMounts": mounts}


class Pods:
    """Makes pods for one test, and deletes them when it is over."""

    def __init__(self, suite: ContractBase, client: PluginClient, image: str, test: str) -> None:
        self._suite, self._client, self._image = suite, client, image
        self._names = (f"{test}-{number}" for number in itertools.count())
        self.made: list[VirtualPod] = []

    def make(
        self,
        *,
        inits: Mapping[str, Script] | None = None,
        sidecars: Mapping[str, Script] | None = None,
        policy: str = "Never",
        grace_seconds: int = 5,
        **containers: Script,
    ) -> VirtualPod:
        """A pod that no plugin knows yet, with one container for each keyword."""
        init_containers = [self._suite.container(name, self._image, script) for name, script in (inits or {}).items()]
        for name, script in (sidecars or {}).items():
            init_containers.append({**self._suite.container(name, self._image, script), "restartPolicy": "Always"})
        mains = [self._suite.container(name, self._image, script) for name, script in containers.items()]
        counted = any(mount["name"] == _COUNTERS for c in (*init_containers, *mains) for mount in c.get("volumeMounts") or ())
        spec: Document = {
            "restartPolicy": policy,
            "terminationGracePeriodSeconds": grace_seconds,
            "initContainers": init_containers,
            "containers": [{**container, "imagePullPolicy": "IfNotPresent"} for container in mains],
            "volumes": [{"name": _COUNTERS, "emptyDir": {}}] if counted else [],
        }
        return self.admit({"spec": spec})

    def admit(self, pod: Document, config_maps: Mapping[str, Document] | None = None) -> VirtualPod:
        """Any pod; its name is made here."""
        document = {**pod, "metadata": {**(pod.get("metadata") or {}), "name": next(self._names)}}
        made = VirtualPod.admit(Manifests(document, config_maps or {}), NodeOptions(), now=time.time())
        self.made.append(made)
        return made

    async def start(self, **pod: Any) -> VirtualPod:
        """`make` and create."""
        made = self.make(**pod)
        await self._client.create(made)
        return made


class ContractBase:
    """Override `plugin` (a fixture that yields a `RunningPlugin`), `image`, `capabilities`, and `container` if there is no shell."""

    @pytest_asyncio.fixture
    async def plugin(self) -> AsyncIterator[RunningPlugin]:
        raise NotImplementedError("override the fixture plugin: yield a RunningPlugin")
        yield  # what makes it a generator, as its overrides are

    @pytest.fixture
    def image(self) -> str:
        """An image with a shell, known to the backend."""
        return "contract.invalid/image:1"

    @pytest.fixture
    def capabilities(self) -> Capabilities:
        """The backend's own declaration; what it excludes is skipped."""
        raise NotImplementedError("override the fixture capabilities: return those of your backend")

    def container(self, name: str, image: str, script: Script) -> Document:
        """How a container is told what to do."""
        return shell_container(name, image, script)

    @pytest_asyncio.fixture
    async def client(self, plugin: RunningPlugin) -> AsyncIterator[PluginClient]:
        async with PluginClient(plugin.listen) as client:
            yield client

    @pytest_asyncio.fixture
    async def pods(self, plugin: RunningPlugin, client: PluginClient, image: str, request: pytest.FixtureRequest) -> AsyncIterator[Pods]:
        name = request.node.name.removeprefix("test_").partition("[")[0].replace("_", "-")[:40].strip("-")
        pods = Pods(self, client, image, name)
        yield pods
        for pod in pods.made:
            await client.delete(pod, grace_seconds=0)
        await self.emptied(plugin, *(pod.uid for pod in pods.made))

    async def emptied(self, plugin: RunningPlugin, *pod_uids: str) -> None:
        """Returns when the backend holds nothing of those pods any more. Fails the test if that takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for uid in pod_uids:
            while found := await plugin.leftovers(uid):
                assert time.monotonic() < deadline, f"left on the backend: {found}"
                await asyncio.sleep(0.1)


def needs(support: Support | bool, feature: str) -> None:
    """Skips the test if the backend does not declare the feature."""
    if support is not True and support is not Support.YES:
        pytest.skip(f"the backend does not declare {feature}")
