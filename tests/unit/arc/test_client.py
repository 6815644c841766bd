"""How answers of the REST interface are read, and what becomes of errors."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from interlink_arc.client import FOREIGN_ERRORS, Element, Slice, Unreached, translated
from interlink_arc.credentials import Credential
from interlink_arc.settings import CredentialSettings, TrustSettings
from interlink_common.errors import BackendUnavailable, Refused, Temporary

URL = "https://one.test/arex"


def element(answer: Callable[[httpx.Request], httpx.Response], tmp_path: Path) -> Element:
    """One that is answered by a function."""
    credential = Credential("own", CredentialSettings(), TrustSettings(ca_directory=tmp_path))
    made = Element(URL, credential, timeout_seconds=1, requests_at_once=2)
    made._http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    made._signature = credential.signature()
    made._version = "1.1"
    return made


def says(told: Any, status: int = 201, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, json=told, headers=headers)


async def test_every_job_of_an_answer_has_a_status_of_its_own(tmp_path: Path) -> None:
    jobs = [
        {"status-code": "201", "reason": "Created", "id": "a", "state": "ACCEPTING"},
        {"status-code": "500", "reason": "emies:adl parsing error"},
        {"status-code": "500", "reason": "Requested queue x is not allowed for this user"},
        {"status-code": "500", "reason": "Failed to create session directory"},
        {"status-code": "201", "reason": "Created"},
    ]
    told = await element(says({"job": jobs}), tmp_path).submit([b"<a/>"] * 5)
    assert told[0] == "a"
    assert [type(each) for each in told[1:]] == [Refused, Refused, Temporary, Temporary]
    assert await element(says({"job": jobs[0]}), tmp_path).submit([b"<a/>"]) == ["a"]


@pytest.mark.parametrize("told", [{"job": []}, {"job": [{"id": "a"}] * 3}, [], "text", {"job": "text"}, {"job": [1]}])
async def test_an_answer_for_other_jobs_than_asked_for_is_no_answer(tmp_path: Path, told: Any) -> None:
    with pytest.raises(BackendUnavailable):
        await element(says(told), tmp_path).submit([b"<a/>"])


async def test_lists_one_alone_and_none(tmp_path: Path) -> None:
    assert await element(says({"job": []}, 200), tmp_path).states(["RUNNING"]) == {}
    assert await element(says({"job": ""}, 200), tmp_path).ids() == []
    assert await element(says({"job": {"id": "a", "state": "RUNNING"}}, 200), tmp_path).states(["RUNNING"]) == {"a": "RUNNING"}
    assert await element(says({"job": [{"id": "a", "status-code": "404"}]}), tmp_path).act("kill", ["a"]) == {"a": 404}
    assert await element(says({"version": "1.1"}, 200), tmp_path).versions() == ["1.1"]


async def test_the_version_of_the_interface_is_agreed_on_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"version": ["1.0", "1.1", "2.0"]} if request.url.path.endswith("/rest") else {"job": []})

    modern = element(answer, tmp_path)
    modern._version = ""
    assert (await modern.ids(), await modern.ids()) == ([], [])
    assert asked == ["/arex/rest", "/arex/rest/1.1/jobs", "/arex/rest/1.1/jobs"]
    old = element(says({"version": "1.0"}, 200), tmp_path)
    old._version = ""
    with pytest.raises(BackendUnavailable, match="of the REST interface; ARC 7 is needed"):
        await old.ids()


@pytest.mark.parametrize(
    ("status", "reason", "kind", "words"),
    [
        (500, "User can't be assigned configuration", BackendUnavailable, "does not accept the credential own"),
        (403, "Forbidden", BackendUnavailable, "does not accept the credential own"),
        (404, "Not found", Temporary, "no longer has such a job or file"),
        (500, "Internal error", BackendUnavailable, "cannot carry out the request now: 500 Internal error"),
        (503, "Busy", BackendUnavailable, "cannot carry out the request now: 503 Busy"),
    ],
)
async def test_errors_of_the_server_are_sentences(tmp_path: Path, status: int, reason: str, kind: type, words: str) -> None:
    answering = element(lambda _: httpx.Response(status, extensions={"reason_phrase": reason.encode()}), tmp_path)
    with pytest.raises(kind, match=words) as told:
        await answering.upload("a", "pod.json", b"")
    assert type(told.value) is kind


@pytest.mark.parametrize(
    ("answer", "slice_"),
    [
        (httpx.Response(206, content=b"cd", headers={"Content-Range": "bytes 2-3/4"}), Slice(b"cd", True)),
        (httpx.Response(200, content=b"abcd"), Slice(b"cd", True)),
        (httpx.Response(200, content=b""), Slice(b"", True)),
        (httpx.Response(416), Slice(b"", True)),
        (httpx.Response(404), Slice(b"", False)),
    ],
)
async def test_ranges(tmp_path: Path, answer: httpx.Response, slice_: Slice) -> None:
    seen: list[str] = []

    def told(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Range"])
        return answer

    assert await element(told, tmp_path).read("a", "events.jsonl", 2, 100) == slice_
    assert seen == ["bytes=2-101"]


async def test_another_range_than_asked_for_is_no_answer(tmp_path: Path) -> None:
    wrong = httpx.Response(206, content=b"ab", headers={"Content-Range": "bytes 0-1/4"})
    with pytest.raises(BackendUnavailable):
        await element(lambda _: wrong, tmp_path).read("a", "events.jsonl", 2)


async def test_only_what_is_safe_is_said_twice(tmp_path: Path) -> None:
    calls: list[str] = []

    def breaks(request: httpx.Request) -> httpx.Response:
        calls.append(request.method)
        if len(calls) == 1:
            raise httpx.RemoteProtocolError("closed", request=request)
        return httpx.Response(200, json={"job": []})

    assert await element(breaks, tmp_path).ids() == []
    assert calls == ["GET", "GET"]
    calls.clear()
    with pytest.raises(BackendUnavailable):
        await element(breaks, tmp_path).submit([b"<a/>"])
    assert calls == ["POST"]


def test_every_foreign_error_is_unavailable_and_a_certificate_is_told_as_such() -> None:
    for kind in (*FOREIGN_ERRORS, httpx.ReadTimeout, httpx.ConnectError, httpx.DecodingError, ssl.SSLError):
        assert isinstance(translated(URL, kind("x")), BackendUnavailable)
    assert isinstance(translated(URL, httpx.ConnectError("refused")), Unreached)
    verification = ssl.SSLCertVerificationError("x")
    verification.verify_message = "certificate has expired"
    outer = httpx.ConnectError("x")
    outer.__cause__ = verification
    assert str(translated(URL, outer)) == f"{URL} has a certificate for another name, or of an untrusted authority: certificate has expired"
