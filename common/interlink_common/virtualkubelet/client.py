"""A client that speaks to a plugin as interLink's API server does, and suffers each status answer as its virtual kubelet does.

Four calls and the ping, GET requests with bodies included; one pod per status call. Every status answer passes the judge, and
every error body the judge of sentences, so a test that only creates and waits already checks the contract.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Self

import httpx

from interlink_common.virtualkubelet.bodies import NO_TIME, VirtualPod
from interlink_common.virtualkubelet.judge import JudgeError, judge_sentence, judge_status

ANSWER_SECONDS = 120.0
"""interLink's ResponseHeaderTimeout: a slower create fails the pod."""


class CallError(Exception):
    """A call was answered with something else than 200; `text` is the body, for a person to read."""

    def __init__(self, call: str, code: int, text: str) -> None:
        super().__init__(f"{call} was answered {code}: {text}")
        self.code = code
        self.text = text


class PluginClient:
    """One connection pool to one plugin. Use it as an async context manager.

    `listen` is the plugin's own setting: `unix:///path.sock` or `http://host:port`. `clock` gives unix seconds;
    `poll_seconds` is the pause between two status calls of `wait_for` (interLink's own is 5 s).
    """

    def __init__(self, listen: str, *, clock: Callable[[], float] = time.time, poll_seconds: float = 0.05) -> None:
        if listen.startswith("unix://"):
            transport, base_url = httpx.AsyncHTTPTransport(uds=listen.removeprefix("unix://")), "http://unix"
        else:
            transport, base_url = httpx.AsyncHTTPTransport(), listen
        self._http = httpx.AsyncClient(transport=transport, base_url=base_url, timeout=ANSWER_SECONDS, trust_env=False)
        self._clock = clock
        self._poll_seconds = poll_seconds

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def create(self, pod: VirtualPod) -> str:
        """POST /create; returns the JID. Raises CallError if it failed, and the pod is then Failed for good."""
        answer = await self.send("POST", "/create", pod.create_body())
        if answer.status_code != 200:
            pod.create_failed(answer.text, now=self._clock())
            judge_sentence(answer.text)
            raise CallError("create", answer.status_code, answer.text)
        body = _json(answer)
        if not isinstance(body, dict) or body.get("PodUID") != pod.uid or not isinstance(body.get("PodJID"), str):
            raise JudgeError(0, f"create must be answered with this PodUID and a PodJID, so that it is not sent again, not {answer.text}")
        pod.created(body["PodUID"], body["PodJID"])
        return str(body["PodJID"])

    async def status(self, pod: VirtualPod) -> str:
        """GET /status for one pod; returns its phase. An ended pod is not asked for; no answer, or none of 200, keeps the last state."""
        if not pod.ended:
            try:
                answer = await self.send("GET", "/status", pod.status_body())
            except httpx.TransportError:
                return pod.phase
            if answer.status_code == 200:
                judge_status(pod, answer.content)
        return pod.phase

    async def wait_for(self, pod: VirtualPod, wanted: str | Callable[[VirtualPod], bool], *, timeout_seconds: float = 60.0) -> VirtualPod:
        """Asks until the pod is in that phase, or fits the predicate. Raises TimeoutError, at once if the pod ended otherwise."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            phase = await self.status(pod)
            if phase == wanted if isinstance(wanted, str) else wanted(pod):
                return pod
            if pod.ended or time.monotonic() > deadline:
                raise TimeoutError(f"pod {pod.name} is not {wanted} but {phase}: {json.dumps(pod.status)}")
            await asyncio.sleep(self._poll_seconds)

    async def logs(
        self,
        pod: VirtualPod,
        container: str,
        *,
        follow: bool = False,
        previous: bool = False,
        timestamps: bool = False,
        tail: int = 0,
        limit_bytes: int = 0,
        since_seconds: int = 0,
        since_time: str = NO_TIME,
    ) -> AsyncIterator[bytes]:
        """GET /getLogs with kubectl's options (0: not set), in chunks as they come. Raises CallError."""
        body = pod.log_body(
            container,
            Follow=follow,
            Previous=previous,
            Timestamps=timestamps,
            Tail=tail,
            Bytes=limit_bytes,
            SinceSeconds=since_seconds,
            SinceTime=since_time,
        )
        timeout = httpx.Timeout(ANSWER_SECONDS, read=None if follow else ANSWER_SECONDS)
        async with self._http.stream("GET", "/getLogs", content=json.dumps(body), headers=_headers("/getLogs"), timeout=timeout) as answer:
            if answer.status_code != 200:
                await answer.aread()
                raise CallError("getLogs", answer.status_code, answer.text)
            async for chunk in answer.aiter_bytes():
                yield chunk

    async def read_logs(self, pod: VirtualPod, container: str, **options: Any) -> str:
        """The whole answer of `logs`, as text."""
        return b"".join([chunk async for chunk in self.logs(pod, container, **options)]).decode()

    async def delete(self, pod: VirtualPod, *, grace_seconds: int | None = None) -> None:
        """POST /delete with the full pod. `grace_seconds` is kubectl's --grace-period. Raises CallError."""
        answer = await self.send("POST", "/delete", pod.delete_body(now=self._clock(), grace_seconds=grace_seconds))
        if answer.status_code != 200:
            judge_sentence(answer.text)
            raise CallError("delete", answer.status_code, answer.text)

    async def ping(self) -> dict[str, Any]:
        """GET /status with an empty list; returns what the plugin tells of its node. Raises CallError."""
        answer = await self.send("GET", "/status", [])
        if answer.status_code != 200:
            raise CallError("ping", answer.status_code, answer.text)
        body = _json(answer)
        return body if isinstance(body, dict) else {}

    async def send(self, method: str, path: str, body: object) -> httpx.Response:
        """Any call, judged by nobody: `body` is sent as JSON, or as it is if it is bytes."""
        content = body if isinstance(body, bytes) else json.dumps(body)
        return await self._http.request(method, path, content=content, headers=_headers(path, ping=body == []))


def _headers(path: str, *, ping: bool = False) -> dict[str, str]:
    calls = {"/create": "CreatePod", "/status": "GetStatus", "/getLogs": "GetLogs", "/delete": "DeletePod"}
    number = random.randrange(100_000)  # noqa: S311  a session number, as interLink rolls it
    session = f"Request-{uuid.uuid4()}" if ping else f"{calls.get(path, 'Request')}#{number}"
    return {"Content-Type": "application/json", "User-Agent": "Go-http-client/1.1", "InterLink-Http-Session": session}


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None
