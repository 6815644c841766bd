"""A client of the Kubernetes API: the only module that imports the SDK, and the one that translates foreign errors.

The SDK reads kubeconfigs, tokens and certificates. The calls are raw JSON over httpx, because the SDK's typed models lose fields that
they do not know, break on logs that are not UTF-8, and block the event loop for seconds on thousands of pods.

::

    BackendUnavailable   no answer, a broken one, overload, or Kueue's webhook is down: nothing is known to have changed
    ApiRefusal           the API server answered and said no; the caller knows what that means for a pod
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import yaml
from kubernetes import client as sdk
from kubernetes import config as sdk_config

from interlink_common.contract.answers import sentence
from interlink_common.errors import BackendUnavailable
from interlink_kueue.settings import ClusterSettings

Json = dict[str, Any]

PAGE = 500
WATCH_SECONDS = 280
"""How long the API server is asked to keep a watch; then it ends the watch without an error."""
TOKEN_PERIOD_SECONDS = 10.0
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
MERGE_PATCH, STRATEGIC_MERGE_PATCH = "application/merge-patch+json", "application/strategic-merge-patch+json"
OVERLOADED = (429, 503, 504)
UNCERTAIN = (500, 502)
TOO_LARGE = ("request is too large", "larger than max")
"""Messages of etcd that the API server passes on as 500, although another try would change nothing."""

FOREIGN_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    sdk_config.ConfigException,
    yaml.YAMLError,
    msgspec.MsgspecError,
    OSError,
    ValueError,
)


class ApiRefusal(Exception):  # noqa: N818  a refusal is an answer, not a fault
    """The API server said no. `status` is the HTTP code, `reason` the CamelCase word of v1.Status, `message` one line without markup."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    @property
    def is_missing(self) -> bool:
        return self.status == 404

    @property
    def is_already_there(self) -> bool:
        """There is an object of that name."""
        return self.status == 409 and self.reason == "AlreadyExists"

    @property
    def is_expired(self) -> bool:
        """The resourceVersion is too old: list again."""
        return self.status == 410 or self.reason == "Expired"

    @property
    def is_denied(self) -> bool:
        return self.status in (401, 403)


def answer_error(status: int, body: bytes, retry_after: str | None = None) -> ApiRefusal | BackendUnavailable:
    """What an answer that is not a success means. The API server passes the failure of a webhook on as 500."""
    try:
        answer = msgspec.json.decode(body)
        message, reason = str(answer["message"]), str(answer.get("reason", ""))
    except (msgspec.MsgspecError, TypeError, KeyError, AttributeError):
        message, reason = body[:2000].decode(errors="replace"), ""
    if status in UNCERTAIN and any(sign in message for sign in TOO_LARGE):
        return ApiRefusal(413, "RequestEntityTooLarge", sentence(message))
    if status in OVERLOADED or status in UNCERTAIN:
        seconds = float(retry_after) if retry_after and retry_after.isdecimal() else None
        return BackendUnavailable(f"the remote cluster cannot do it now: {sentence(message) or status}", retry_after_seconds=seconds)
    return ApiRefusal(status, reason, sentence(message) or f"the remote cluster answered {status}")


def connection_error(error: BaseException) -> BackendUnavailable:
    """Every foreign exception means that nothing is known."""
    return BackendUnavailable(f"the remote cluster does not answer: {sentence(str(error)) or type(error).__name__}")


@dataclass(frozen=True)
class Credentials:
    """What the SDK has loaded. `namespace` is that of the context, or of the pod that the plugin runs in."""

    configuration: sdk.Configuration
    namespace: str

    def authorization(self) -> str:
        """The header's present value. Blocks: the SDK reads token files again and runs exec plugins when that is due."""
        configuration = self.configuration
        return configuration.get_api_key_with_prefix("BearerToken") or configuration.get_api_key_with_prefix("authorization") or ""


def load(settings: ClusterSettings) -> Credentials:
    """Blocks: reads files and may run an exec plugin. Raises what the SDK raises."""
    configuration = sdk.Configuration()
    path = settings.kubeconfig or _usual_kubeconfig()
    if path is None:
        sdk_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # the SDK has no types there
        return Credentials(configuration, NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "default")
    context = settings.context or None
    sdk_config.load_kube_config(str(path), context, configuration, persist_config=False)  # type: ignore[no-untyped-call]
    contexts, current = sdk_config.list_kube_config_contexts(str(path))  # type: ignore[no-untyped-call]
    chosen = next((entry for entry in contexts if entry["name"] == context), current)
    return Credentials(configuration, chosen["context"].get("namespace") or "default")


def _usual_kubeconfig() -> str | None:
    """As kubectl does: KUBECONFIG, else that of the home directory, unless the plugin runs in a pod that has none."""
    if configured := os.environ.get("KUBECONFIG"):
        return configured
    home = Path("~/.kube/config").expanduser()
    return str(home) if home.exists() or "KUBERNETES_SERVICE_HOST" not in os.environ else None


class _Bearer(httpx.Auth):
    """Sets the Authorization header. The SDK computes it now and then, in a thread, because an exec plugin may take seconds."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._header, self._computed_at = "", -TOKEN_PERIOD_SECONDS
        self._lock = asyncio.Lock()

    async def async_auth_flow(self, request: httpx.Request) -> Any:
        if self._credentials.configuration.refresh_api_key_hook is None:
            self._header = self._credentials.authorization()
        else:
            async with self._lock:
                now = asyncio.get_running_loop().time()
                if now - self._computed_at >= TOKEN_PERIOD_SECONDS:
                    self._header = await asyncio.to_thread(self._credentials.authorization)
                    self._computed_at = now
        if self._header:
            request.headers["Authorization"] = self._header
        yield request


def _tls(configuration: sdk.Configuration) -> ssl.SSLContext | bool:
    if not configuration.host.startswith("https"):
        return False
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert or None)
    if not configuration.verify_ssl:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


class Cluster:
    """One remote cluster with one identity. Its methods raise BackendUnavailable and ApiRefusal, and nothing else."""

    def __init__(self, name: str, settings: ClusterSettings) -> None:
        self.name = name
        self._settings = settings
        self._http: httpx.AsyncClient | None = None
        self._credentials: Credentials | None = None
        self._loading = asyncio.Lock()
        self._calls = asyncio.Semaphore(settings.connections)

    @property
    def namespace(self) -> str:
        """The namespace of the credentials, once they are loaded."""
        return self._credentials.namespace if self._credentials else "default"

    async def connect(self) -> None:
        """Loads the credentials, and calls nothing yet."""
        async with self._loading:
            if self._http is None:
                try:
                    self._credentials = await asyncio.to_thread(load, self._settings)
                    self._http = self._open(self._credentials)
                except FOREIGN_ERRORS as error:
                    raise BackendUnavailable(f"the credentials of cluster {self.name} cannot be loaded: {sentence(str(error))}") from error

    def _open(self, credentials: Credentials) -> httpx.AsyncClient:
        configuration = credentials.configuration
        extensions = {"sni_hostname": configuration.tls_server_name} if configuration.tls_server_name else {}

        async def mark(request: httpx.Request) -> None:
            request.extensions |= extensions

        return httpx.AsyncClient(
            base_url=configuration.host,
            verify=_tls(configuration),
            auth=_Bearer(credentials),
            proxy=configuration.proxy or None,
            trust_env=False,
            timeout=self._settings.request_timeout_seconds,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=self._settings.connections),
            event_hooks={"request": [mark]},
        )

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, content_type: str = "application/json"
    ) -> Json:
        """Returns the answer's JSON. After a 401 it loads the credentials anew, once: a token file may have been replaced."""
        content = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": content_type} if content is not None else {}
        async with self._calls:
            for fresh in (False, True):
                http = await self._client()
                try:
                    answer = await http.request(method, path, params=dict(query or {}), content=content, headers=headers)
                    if answer.status_code == 401 and not fresh:
                        await self._renew(http)
                        continue
                    if answer.is_success:
                        return dict(msgspec.json.decode(answer.content)) if answer.content else {}
                except FOREIGN_ERRORS as error:
                    raise connection_error(error) from error
                raise answer_error(answer.status_code, answer.content, answer.headers.get("retry-after"))
        raise AssertionError("unreachable")

    async def _client(self) -> httpx.AsyncClient:
        await self.connect()
        assert self._http is not None
        return self._http

    async def _renew(self, used: httpx.AsyncClient) -> None:
        """Loads the credentials anew, once for all calls that failed with the same ones."""
        if self._http is used:
            self._http = None
            await self.connect()
            await used.aclose()

    async def list_pages(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[tuple[list[Json], str]]:
        """Yields the pages of a list: (items, the list's resourceVersion)."""
        token = ""
        while True:
            page = await self.call("GET", path, query={**(query or {}), "limit": str(PAGE), **({"continue": token} if token else {})})
            metadata = page.get("metadata") or {}
            yield page.get("items") or [], str(metadata.get("resourceVersion", ""))
            token = metadata.get("continue") or ""
            if not token:
                return

    async def watch(
        self, path: str, resource_version: str, query: Mapping[str, str] | None = None
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """Yields (type, object) of each event until the API server ends the watch, or sends nothing for too long."""
        watch_query = {
            **(query or {}),
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        decoder = msgspec.json.Decoder()
        try:
            async with self._stream(path, watch_query, self._settings.watch_idle_seconds) as answer:
                async for line in _lines(answer.aiter_bytes()):
                    event = decoder.decode(line)
                    kind, item = event["type"], event["object"]
                    if kind == "ERROR":
                        raise answer_error(int(item.get("code") or 500), msgspec.json.encode(item))
                    yield kind, item
        except httpx.ReadTimeout:
            return
        except FOREIGN_ERRORS as error:
            raise connection_error(error) from error

    async def read_log(self, namespace: str, pod: str, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """Yields a container's log as it comes, byte for byte."""
        try:
            async with self._stream(f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query, None) as answer:
                async for chunk in answer.aiter_bytes():
                    yield chunk
        except FOREIGN_ERRORS as error:
            raise connection_error(error) from error

    @asynccontextmanager
    async def _stream(self, path: str, query: Mapping[str, str], idle_seconds: float | None) -> AsyncIterator[httpx.Response]:
        """An answer whose body is read in chunks, uncompressed: gzip would hold back lines that somebody follows."""
        http = await self._client()
        timeout = httpx.Timeout(self._settings.request_timeout_seconds, read=idle_seconds)
        async with http.stream("GET", path, params=dict(query), timeout=timeout, headers={"Accept-Encoding": "identity"}) as answer:
            if not answer.is_success:
                body = await answer.aread()
                if answer.status_code == 401:
                    await self._renew(http)
                    raise BackendUnavailable("the remote cluster asks for new credentials")
                raise answer_error(answer.status_code, body, answer.headers.get("retry-after"))
            yield answer


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
