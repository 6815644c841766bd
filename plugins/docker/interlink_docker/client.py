"""The engine's API, asynchronous: the only module that imports the SDK, and the edge where its errors become ours.

::

    RuntimeUnavailable   no answer, a broken one, or an engine that says it is going away: nothing is known to have changed
    EngineRefusal        the engine answered and said no; the caller knows what that means for a pod
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import docker
import docker.errors
import docker.tls
import requests
import urllib3

from interlink_common.agent.runtime import RuntimeUnavailable
from interlink_common.background import SharedCall, in_thread
from interlink_common.contract.answers import sentence
from interlink_docker import labels
from interlink_docker.settings import EngineSettings
from interlink_docker.stream import Endpoint, EngineStream

Answer = TypeVar("Answer")
Json = dict[str, Any]
Rows = dict[str, list[Json]]

READ_LIMIT_BYTES = 1024 * 1024 * 1024

GOING_AWAY = re.compile(
    r"containerd\.sock|transport is closing|context canceled|daemon is shutting down|error while dialing", re.IGNORECASE
)
"""Words of an engine whose own parts are going away: a refusal by its status code, but it says nothing of the container."""

FOREIGN_ERRORS = (
    docker.errors.DockerException,
    docker.errors.StreamParseError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
)


class EngineRefusal(Exception):  # noqa: N818  a refusal is an answer, not a fault
    """The engine said no. `status` is the HTTP code, `message` its own explanation on one line without markup characters."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def is_missing(self) -> bool:
        return self.status == 404

    @property
    def is_conflict(self) -> bool:
        return self.status == 409


def refusal(status: int, message: str) -> EngineRefusal | RuntimeUnavailable:
    """What an answer that is not a success means."""
    if status == 503 or GOING_AWAY.search(message):
        return RuntimeUnavailable(f"the engine is going away: {sentence(message)}")
    return EngineRefusal(status, sentence(message))


def translated(error: BaseException) -> EngineRefusal | RuntimeUnavailable:
    """The one table from the SDK's exceptions to ours. Unknown ones mean that nothing is known."""
    if isinstance(error, docker.errors.APIError) and error.status_code is not None:
        return refusal(error.status_code, str(error.explanation or error))
    if isinstance(error, docker.errors.NullResource | docker.errors.InvalidArgument | docker.errors.InvalidRepository):
        return EngineRefusal(400, sentence(str(error)))
    return RuntimeUnavailable(f"the engine did not answer: {sentence(str(error)) or type(error).__name__}")


class Engine:
    """One Docker engine. Every method raises RuntimeUnavailable or EngineRefusal and nothing else."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="docker-engine")
        self._api: docker.APIClient | None = None
        self._endpoint: Endpoint | None = None

    async def connect(self) -> None:
        """Agrees on an API version with the engine."""
        if self._api is None:
            self._endpoint, self._api = await self._in_thread(self._open)

    def _open(self) -> tuple[Endpoint, docker.APIClient]:
        chosen = self._settings
        endpoint = Endpoint.parse(chosen.url, chosen.tls_ca_file, chosen.tls_cert_file, chosen.tls_key_file)
        tls: bool | docker.tls.TLSConfig = False
        if endpoint.tls:
            pair = (str(chosen.tls_cert_file), str(chosen.tls_key_file)) if chosen.tls_cert_file else None
            tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=str(chosen.tls_ca_file) if chosen.tls_ca_file else None, verify=True)
        api = docker.APIClient(
            base_url=chosen.url, version="auto", timeout=int(chosen.timeout_seconds) or 1, tls=tls, max_pool_size=chosen.threads
        )
        return endpoint, api

    async def close(self) -> None:
        """Lets go of connections; calls in flight end by themselves."""
        if self._api is not None:
            self._api.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, function: Callable[[], Answer]) -> Answer:
        try:
            return await in_thread(function, self._pool)
        except FOREIGN_ERRORS as error:
            raise translated(error) from error

    async def _call(self, function: Callable[[docker.APIClient], Answer]) -> Answer:
        await self.connect()
        api = self._api
        assert api is not None
        return await self._in_thread(lambda: function(api))

    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> EngineStream:
        """An open answer of the engine; `path` is below the API version."""
        await self.connect()
        assert self._api is not None
        assert self._endpoint is not None
        try:
            opened = await EngineStream.open(
                self._endpoint, method, f"/v{self._api.api_version}{path}", query=query, headers=headers, body=body
            )
            if opened.status < 400:
                return opened
            async with opened:
                text = (await opened.read_all(4096)).decode(errors="replace")
        except (OSError, EOFError, ValueError) as error:
            raise translated(error) from error
        raise refusal(opened.status, explanation(text))

    @property
    def api_version(self) -> tuple[int, ...]:
        """(1, 41) and so on; (0,) before the first contact."""
        return tuple(int(part) for part in self._api.api_version.split(".")) if self._api else (0,)

    async def version(self) -> Json:
        return await self._call(lambda api: dict(api.version()))

    async def info(self) -> Json:
        return await self._call(lambda api: dict(api.info()))

    async def ping(self) -> None:
        """On a connection of its own and without a thread, which hanging calls could hold all of. No time limit of its own."""
        (await self.stream("GET", "/_ping")).close()

    async def create(self, name: str, config: Json) -> None:
        """Creates a container from the body of POST /containers/create."""
        await self._call(lambda api: api.create_container_from_config(config, name))  # type: ignore[no-untyped-call]  # the stubs lack it

    async def start(self, name: str) -> None:
        await self._call(lambda api: api.start(name))

    async def inspect(self, name: str, *, with_size: bool = False) -> Json:
        if not with_size:
            return await self._call(lambda api: dict(api.inspect_container(name)))
        return dict(json.loads(await self.read(f"/containers/{name}/json", {"size": "1"})))

    async def containers(self, labels: Mapping[str, str]) -> list[Json]:
        """Summaries of the containers, ended ones too, that carry these labels."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        return await self._call(lambda api: [dict(found) for found in api.containers(all=True, filters={"label": wanted})])

    async def kill(self, name: str, signal: str) -> None:
        await self._call(lambda api: api.kill(name, signal))

    async def remove(self, name: str) -> None:
        """Removes a container, running or not, with the volumes that its image made. Nothing if it is gone or going."""
        try:
            await self._call(lambda api: api.remove_container(name, v=True, force=True))
        except EngineRefusal as error:
            if not (error.is_missing or error.is_conflict):
                raise

    async def image(self, reference: str) -> Json:
        return await self._call(lambda api: dict(api.inspect_image(reference)))  # type: ignore[no-untyped-call]  # the stubs lack it

    async def volumes(self, labels: Mapping[str, str]) -> list[str]:
        wanted = [f"{key}={value}" for key, value in labels.items()]
        found = await self._call(lambda api: api.volumes(filters={"label": wanted}))
        return [volume["Name"] for volume in found.get("Volumes") or []]

    async def remove_volume(self, name: str) -> None:
        try:
            await self._call(lambda api: api.remove_volume(name))
        except EngineRefusal as error:
            if not error.is_missing:
                raise

    async def has_path(self, name: str, path: str) -> bool:
        """Whether there is anything in a container's file system, volumes included; no link in there leads out of it."""
        try:
            await self._call(lambda api: ask_archive(api, "HEAD", name, {"path": path}))
        except EngineRefusal as error:
            if error.is_missing:
                return False
            raise
        return True

    async def put_archive(self, name: str, path: str, archive: bytes) -> None:
        """Unpacks a tar archive in a container's file system, volumes included. Refused if a directory would replace something else."""
        await self._call(lambda api: ask_archive(api, "PUT", name, {"path": path, "noOverwriteDirNonDir": "1"}, archive))

    async def create_exec(self, name: str, command: Sequence[str]) -> str:
        return str((await self._call(lambda api: api.exec_create(name, list(command))))["Id"])

    async def inspect_exec(self, exec_id: str) -> Json:
        return await self._call(lambda api: dict(api.exec_inspect(exec_id)))

    async def read(self, path: str, query: dict[str, str]) -> bytes:
        """A finite answer as bytes, at most READ_LIMIT_BYTES of it."""
        async with await self.stream("GET", path, query=query) as answer:
            try:
                return await answer.read_all(READ_LIMIT_BYTES)
            except (OSError, EOFError) as error:
                raise translated(error) from error


def ask_archive(api: docker.APIClient, method: str, container: str, query: dict[str, str], archive: bytes = b"") -> None:
    """HEAD or PUT /containers/{id}/archive, of which the SDK has no HEAD and not all of PUT. Raises EngineRefusal or RuntimeUnavailable."""
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive"
    answer = api.request(method, url, params=query, data=archive, timeout=api.timeout)
    if not answer.ok:
        raise refusal(answer.status_code, explanation(answer.text))


def explanation(text: str) -> str:
    """The engine's own sentence in the body of a refusal."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text


class PodContainers:
    """The container summaries of each pod. One answer of the engine serves all pods that asked before the engine was asked."""

    def __init__(self, engine: Engine, instance: str) -> None:
        self._engine = engine
        self._instance = instance
        self._call: SharedCall[str, Rows] = SharedCall("docker listing", self._list)

    async def of_pod(self, uid: str) -> list[Json]:
        """Summaries of the pod's containers, the sandbox among them. Raises RuntimeUnavailable."""
        return (await self._call(uid)).get(uid, [])

    async def _list(self, uids: AbstractSet[str]) -> Rows:
        only = next(iter(uids)) if len(uids) == 1 else None
        rows: Rows = defaultdict(list)
        for row in await self._engine.containers(labels.ours(self._instance, uid=only)):
            rows[row["Labels"].get(labels.POD_UID, "")].append(row)
        return rows
