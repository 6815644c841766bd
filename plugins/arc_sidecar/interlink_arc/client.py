"""ARC's REST interface: the only module that knows HTTP, and the edge where foreign errors become ours.

Source: NorduGrid ARC documentation, "ARC REST interface specification". An answer 201 says nothing of the jobs in it: each has a status
of its own, and every one is looked at. What cannot be understood, or does not come, means that nothing is known.

::

    BackendUnavailable   no answer, a broken one, or the computing element does not know us: nothing is known to have changed
    Unreached            of these, where no request was sent at all
    Refused              the computing element has looked at the job and will never take it
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from interlink_arc.credentials import Credential
from interlink_common.contract.answers import sentence
from interlink_common.errors import BackendUnavailable, PluginError, Refused, Temporary

VERSIONS = ("1.1",)
"""Of the interface, those that are spoken here, the best first."""
FOREIGN_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, msgspec.MsgspecError, OSError, ValueError)
SAFE_AGAIN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
"""The server has closed a connection that was idle, perhaps just as we wrote: what may be sent twice is sent again, once."""
NEVER_TAKEN = ("adl parsing error", "requested queue")
"""Words of a refusal that has to do with the job itself."""
NOT_KNOWN_THERE = ("can't be assigned configuration", "not authorized", "not allowed", "operation is not allowed")
"""Words with which a computing element answers, with status 500 too, that it does not accept the credential."""


class Unreached(BackendUnavailable):
    """There was no connection, so no request was sent."""


@dataclass(frozen=True)
class Slice:
    """Part of a file. `is_there`: the file exists; where it does and `data` is empty, nothing is beyond the offset."""

    data: bytes
    is_there: bool


class Element:
    """One computing element, seen with one credential. `url` is that of the settings, without version."""

    def __init__(self, url: str, credential: Credential, *, timeout_seconds: float, requests_at_once: int) -> None:
        self.url = url
        self.credential = credential
        self._timeout_seconds = timeout_seconds
        self._requests_at_once = requests_at_once
        self._version = ""
        self._http: httpx.AsyncClient | None = None
        self._signature: tuple[int, ...] = ()
        self._old: list[httpx.AsyncClient] = []
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        for http in (*self._old, *([self._http] if self._http is not None else [])):
            await http.aclose()
        self._old.clear()
        self._http = None

    async def versions(self) -> list[str]:
        """Of the interface, as the computing element offers them."""
        answer = _decoded(await self._request("GET", "/rest", again=True))
        found = answer.get("version") if isinstance(answer, dict) else None
        return [str(version) for version in (found if isinstance(found, list) else [found])]

    async def negotiate(self) -> str:
        """The version that both sides speak; asked for once. Raises BackendUnavailable if there is none."""
        if not self._version:
            offered = await self.versions()
            self._version = next((version for version in VERSIONS if version in offered), "")
            if not self._version:
                versions = sentence(", ".join(offered)) or "nothing"
                raise BackendUnavailable(f"{self.url} offers version {versions} of the REST interface; ARC 7 is needed, with {VERSIONS[0]}")
        return self._version

    async def submit(self, descriptions: Sequence[bytes]) -> list[str | PluginError]:
        """Of each job its id, or why it was not taken. Never sent twice."""
        body = b"<ActivityDescriptions>%b</ActivityDescriptions>" % b"".join(descriptions) if len(descriptions) > 1 else descriptions[0]
        answer = await self._request("POST", "/jobs", params={"action": "new"}, content=body, headers={"Content-Type": "application/xml"})
        jobs = _jobs(answer)
        if len(jobs) != len(descriptions):
            raise BackendUnavailable(f"{self.url} answered for {len(jobs)} jobs of {len(descriptions)}")
        return [str(job["id"]) if job.get("status-code") == "201" and job.get("id") else _not_taken(job) for job in jobs]

    async def states(self, wanted: Iterable[str]) -> dict[str, str]:
        """All our jobs that are in one of these states, live: id -> state. One request, however many they are."""
        jobs = _jobs(await self._request("GET", "/jobs", params={"state": ",".join(wanted)}, again=True))
        return {str(job["id"]): str(job.get("state", "")) for job in jobs if "id" in job}

    async def ids(self) -> list[str]:
        """Of all our jobs, also those in states that we do not know."""
        return [str(job["id"]) for job in _jobs(await self._request("GET", "/jobs", again=True)) if "id" in job]

    async def act(self, action: str, ids: Sequence[str]) -> dict[str, int]:
        """Has many jobs killed or cleaned: id -> status code; 404: there is none."""
        jobs = await self._about(action, ids)
        return {str(job["id"]): _number(job.get("status-code")) for job in jobs if "id" in job}

    async def info(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What the information system has of each job, at most its period old: id -> ComputingActivity of GLUE2."""
        found = {}
        for job in await self._about("info", ids):
            document = job.get("info_document")
            if "id" in job and isinstance(document, dict) and isinstance(document.get("ComputingActivity"), dict):
                found[str(job["id"])] = document["ComputingActivity"]
        return found

    async def _about(self, action: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        body = msgspec.json.encode({"job": [{"id": job} for job in ids]})
        headers = {"Content-Type": "application/json"}
        return _jobs(await self._request("POST", "/jobs", params={"action": action}, content=body, headers=headers, again=True))

    async def upload(self, job: str, name: str, data: bytes) -> None:
        """Into the job's session directory. Raises Temporary if there is no such job."""
        headers = {"Content-Type": "application/octet-stream"}
        await self._request("PUT", f"/jobs/{job}/session/{name}", content=data, headers=headers, again=True)

    async def read(self, job: str, name: str, offset: int = 0, most_bytes: int = 1024 * 1024) -> Slice:
        """Of a file in the session directory, from the offset on."""
        headers = {"Range": f"bytes={offset}-{offset + most_bytes - 1}", "Accept": "*/*"}
        answer = await self._request("GET", f"/jobs/{job}/session/{name}", headers=headers, again=True, accept=(200, 206, 404, 416))
        if answer.status_code == httpx.codes.PARTIAL_CONTENT:
            begin = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
            if begin != str(offset):
                raise BackendUnavailable(f"{self.url} answered with another part of a file than requested")
            return Slice(answer.content, True)
        if answer.status_code == httpx.codes.OK:  # a server that has no ranges, or an empty file
            return Slice(answer.content[offset : offset + most_bytes], True)
        return Slice(b"", answer.status_code != httpx.codes.NOT_FOUND)

    async def diagnose(self, job: str, item: str) -> str | None:
        """A file that A-REX keeps of the job; None if there is none."""
        answer = await self._request("GET", f"/jobs/{job}/diagnose/{item}", headers={"Accept": "*/*"}, again=True, accept=(200, 404))
        return answer.content.decode(errors="replace") if answer.status_code == httpx.codes.OK else None

    async def service(self) -> dict[str, Any]:
        """The computing element as GLUE2, Domains downwards."""
        document = _decoded(await self._request("GET", "/info", again=True))
        return document if isinstance(document, dict) else {}

    async def new_delegation(self) -> tuple[str, bytes]:
        """Its id, and the request for a certificate that is to be signed."""
        answer = await self._request("POST", "/delegations", params={"action": "new"})
        return answer.headers.get("Location", "").rstrip("/").rpartition("/")[2], answer.content

    async def renew_delegation(self, delegation: str) -> bytes:
        """The request for a certificate that is to be signed. Raises Temporary if the delegation is gone."""
        return (await self._request("POST", f"/delegations/{delegation}", params={"action": "renew"})).content

    async def sign_delegation(self, delegation: str, chain: bytes) -> None:
        """`chain`: PEM, the signed certificate first."""
        await self._request("PUT", f"/delegations/{delegation}", content=chain, headers={"Content-Type": "application/x-pem-file"})

    async def _request(self, method: str, path: str, *, again: bool = False, accept: Sequence[int] = (), **what: Any) -> httpx.Response:
        """The answer, which is a success or one of `accept`. `again`: the request does no harm if it is sent twice."""
        url = self.url + path if path == "/rest" else f"{self.url}/rest/{await self.negotiate()}{path}"
        try:
            http = await self._client()
            try:
                answer = await http.request(method, url, **what)
            except SAFE_AGAIN:
                if not again:
                    raise
                answer = await http.request(method, url, **what)
        except PluginError:
            raise
        except FOREIGN_ERRORS as error:
            raise translated(self.url, error) from None
        if answer.is_success or answer.status_code in accept:
            return answer
        raise self._refusal(answer, path)

    def _refusal(self, answer: httpx.Response, path: str) -> PluginError:
        """What an answer means that is no success."""
        status, words = answer.status_code, sentence(answer.reason_phrase)
        if status in (401, 403) or (status == 500 and any(sign in answer.reason_phrase.lower() for sign in NOT_KNOWN_THERE)):
            return BackendUnavailable(f"{self.url} does not accept the credential {self.credential.name}: {words}")
        if status == httpx.codes.NOT_FOUND:
            return Temporary(f"{self.url} no longer has such a job or file: {path.removeprefix('/jobs/')}")
        return BackendUnavailable(f"{self.url} cannot carry out the request now: {status} {words}")

    async def _client(self) -> httpx.AsyncClient:
        """One that has the credential as it is now. Calls under way on an older one go on."""
        async with self._turn:
            signature = self.credential.signature()
            if self._http is None or signature != self._signature:
                context, headers = await asyncio.to_thread(lambda: (self.credential.context(), self.credential.headers()))
                for old in self._old:
                    await old.aclose()
                self._old = [self._http] if self._http is not None else []
                self._http = httpx.AsyncClient(
                    verify=context,
                    headers={"Accept": "application/json", **headers},
                    timeout=httpx.Timeout(self._timeout_seconds, pool=None),
                    limits=httpx.Limits(max_connections=self._requests_at_once, max_keepalive_connections=self._requests_at_once),
                    trust_env=False,
                )
                self._signature = signature
            return self._http


def translated(url: str, error: BaseException) -> BackendUnavailable:
    """Everything foreign means that nothing is known."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unreached(f"{url} has a certificate for another name, or of an untrusted authority: {sentence(cause.verify_message)}")
    kind = Unreached if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)) else BackendUnavailable
    return kind(f"{url} does not answer: {sentence(str(error)) or type(error).__name__}")


def _not_taken(job: Mapping[str, Any]) -> PluginError:
    reason = sentence(str(job.get("reason", ""))) or "no reason is given"
    if any(sign in reason.lower() for sign in NEVER_TAKEN):
        return Refused(f"the computing element does not accept the job: {reason}")
    return Temporary(f"the computing element does not take the job now: {reason}")


def _decoded(answer: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(answer.content)
    except msgspec.MsgspecError as error:
        raise translated(str(answer.request.url), error) from None


def _jobs(answer: httpx.Response) -> list[dict[str, Any]]:
    """The jobs of an answer: a list, one alone, or none."""
    document = _decoded(answer)
    jobs = document.get("job") if isinstance(document, dict) else None
    if jobs is None or jobs == "":
        return []
    found = jobs if isinstance(jobs, list) else [jobs]
    if not all(isinstance(job, dict) for job in found):
        raise BackendUnavailable(f"{answer.request.url} answered with something other than a list of jobs")
    return found


def _number(value: object) -> int:
    """A number that comes as text; 0 for anything else."""
    text = str(value)
    return int(text) if text.isdecimal() else 0
