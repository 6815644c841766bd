"""The client's reading of answers, capacity, the choice of a computing element, credentials, delegations, and when a stream is read."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from interlink_arc import capacity, states
from interlink_arc.client import FOREIGN_ERRORS, Element, Slice, Unreached, translated
from interlink_arc.credentials import Credential
from interlink_arc.delegations import Delegations, signed
from interlink_arc.follow import Follow
from interlink_arc.pods import Pod
from interlink_arc.settings import CredentialSettings, FollowSettings, TrustSettings
from interlink_arc.sites import OWN, Sites
from interlink_arc.translate import Choice
from interlink_common.backend import NodeCapacity
from interlink_common.batchsystem.journal import Journal
from interlink_common.errors import BackendUnavailable, ConfigurationError, Refused, Temporary
from interlink_common.lifecycle.report import Terminated
from interlink_common.podrunner.events import LogLine, encode
from tests.servers.authority import Authority
from tests.unit.arc.pods import a_pod, settings

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
        (404, "Not found", Temporary, "has no such job or file any more"),
        (500, "Internal error", BackendUnavailable, "can not do it now: 500 Internal error"),
        (503, "Busy", BackendUnavailable, "can not do it now: 503 Busy"),
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
    assert str(translated(URL, outer)) == f"{URL} is not who it says, or it is not trusted: certificate has expired"


def service(**manager: Any) -> dict[str, Any]:
    computing = {
        "ComputingEndpoint": [{"ImplementationVersion": "7.0.0"}],
        "ComputingShare": {"Name": "main", "MappingQueue": "main"},
        "ComputingManager": manager,
    }
    return {"Domains": {"AdminDomain": {"Services": {"ComputingService": computing}}}}


KINDS = {"ExecutionEnvironment": [{"MainMemorySize": "1000", "TotalInstances": "3"}, {"MainMemorySize": "999999999"}]}


def test_capacity_as_published_or_fixed() -> None:
    told = [service(TotalLogicalCPUs="16", ExecutionEnvironments=KINDS), service(TotalSlots="4"), {"Domains": []}]
    gpus = {"devices": {"nvidia.com/gpu": {"capacity": 4}, "a/b": {}}}
    assert capacity.offered(told, settings(**gpus)) == NodeCapacity(20_000, 3000 * 2**20, 1000, {"nvidia.com/gpu": 4})
    assert capacity.offered([], settings()) == NodeCapacity(None, None, 1000, {})
    fixed = {"capacity": {"source": "fixed", "cpu_millis": 7, "pods": 3}}
    assert capacity.offered(told, settings(**fixed)) == NodeCapacity(7, None, 3, {})


def test_what_an_element_says_of_itself() -> None:
    told = service(ApplicationEnvironments={"ApplicationEnvironment": {"AppName": "ENV/PROXY"}})
    assert (capacity.queues(told), capacity.runtime_environments(told), capacity.version(told)) == (["main"], ["ENV/PROXY"], "7.0.0")
    assert (capacity.queues({}), capacity.runtime_environments({}), capacity.version({})) == ([], [], "")


def test_pods_are_shared_out_by_weight_among_those_that_answer() -> None:
    sites = Sites(settings())
    both = Choice(("one", "two"), "")
    assert [sites.choose("default", both).name for _ in range(6)] == ["two", "one", "two"] * 2
    sites.of("default", "two").failed(BackendUnavailable("two is away"))
    assert [sites.choose("default", both).name for _ in range(2)] == ["one", "one"]
    sites.of("default", "one").failed(BackendUnavailable("one is away"))
    with pytest.raises(BackendUnavailable, match="one is away; two is away"):
        sites.choose("default", both)
    sites.of("default", "two").answered()
    assert sites.choose("default", both).name == "two"


def test_an_element_of_weight_nothing_gets_no_new_pods() -> None:
    sites = Sites(settings(ces={"one": {"url": URL, "weight": 0}}))
    with pytest.raises(BackendUnavailable, match="the weight of one is 0"):
        sites.choose("default", Choice(("one",), ""))
    assert sites.at("default", URL).name == "one"
    with pytest.raises(BackendUnavailable, match="ces no longer names the computing element"):
        sites.at("default", "https://gone.test/arex")


def test_each_credential_is_a_site_of_its_own() -> None:
    tenants = {"a": {"credential": {"token_file": "/t"}, "ces": ["two"]}, "b": {"queue": "q"}}
    sites = Sites(settings(tenants=tenants))
    assert [(site.name, site.credential.name) for site in sites.all()] == [("two", "a")]  # nothing else is set
    assert sites.of("a", "two").credential.name == "a"
    assert sites.of("b", "two").credential.name == OWN
    assert sites.of("a", "two") is sites.all()[0]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "a")


def credential(authority: Authority, **files: Any) -> Credential:
    return Credential("own", CredentialSettings(**files), TrustSettings(ca_directory=authority.certificates))


def test_credentials_are_private_files_that_tell_when_they_end(authority: Authority, tmp_path: Path) -> None:
    proxy = authority.proxy("alice", days=1)
    own = credential(authority, proxy_file=proxy)
    own.require_private()
    end = own.expires_at()
    assert end is not None
    assert abs(end - time.time() - 86400) < 600
    assert own.headers() == {}
    before = own.signature()
    assert authority.proxy("alice") == proxy
    assert own.signature() != before
    proxy.chmod(0o640)
    with pytest.raises(ConfigurationError, match="may be read by others"):
        own.require_private()
    proxy.chmod(0o600)
    with pytest.raises(BackendUnavailable, match="can not be read"):
        credential(authority, proxy_file=tmp_path / "gone").signature()


@pytest.mark.parametrize(("text", "end"), [("not-a-token", None), ("a.eyJleHAiOiAxMH0.c", 10.0), ("a.W10.c", None)])
def test_tokens_tell_when_they_end(authority: Authority, tmp_path: Path, text: str, end: float | None) -> None:
    (tmp_path / "token").write_text(f"{text}\n")
    own = credential(authority, token_file=tmp_path / "token")
    assert own.headers() == {"Authorization": f"Bearer {text}"}
    assert own.expires_at() == end
    (tmp_path / "token").write_text("two\nlines")
    with pytest.raises(BackendUnavailable, match="holds no token"):
        own.headers()


def test_a_file_that_is_no_credential_is_told_without_its_bytes(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----\n")
    own = credential(authority, proxy_file=tmp_path / "proxy")
    for call in (own.context, own.expires_at):
        with pytest.raises(BackendUnavailable) as told:
            call()
        assert "secret" not in str(told.value)


def test_revocation_lists_are_looked_at_where_there_are_any(authority: Authority, tmp_path: Path) -> None:
    assert not credential(authority).context().verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    other = Authority(tmp_path / "other")
    other.revoke()
    assert credential(other).context().verify_flags & ssl.VERIFY_CRL_CHECK_LEAF


def test_a_delegation_is_a_proxy_of_ours_that_ends_no_later(authority: Authority) -> None:
    own = credential(authority, proxy_file=authority.proxy("alice", days=1), delegate=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem, end = signed(request.public_bytes(serialization.Encoding.PEM), own)
    made, proxy, user = x509.load_pem_x509_certificates(pem)
    made.verify_directly_issued_by(proxy)
    assert made.public_key() == key.public_key()
    assert made.subject.rfc4514_string().endswith(",".join(reversed([part.rfc4514_string() for part in proxy.subject.rdns])))
    assert user.subject.rfc4514_string() == "CN=alice,O=test"
    assert end <= (own.expires_at() or 0)
    with pytest.raises(BackendUnavailable, match="has ended"):
        signed(request.public_bytes(serialization.Encoding.PEM), credential(authority, proxy_file=authority.proxy("bob", days=-1)))


def test_a_quiet_stream_is_read_less_and_less_often_unless_somebody_follows(tmp_path: Path) -> None:
    follow = FollowSettings(poll_seconds=1, quiet_poll_seconds=3)
    pod = Pod(a_pod(), Sites(settings()).of("default", "one"), "1", Journal(tmp_path), 0.0, state="PREPARING")
    assert not pod.is_due(100.0, follow)
    pod.seen("RUNNING")
    pauses = []
    for _ in range(4):
        assert pod.is_due(100.0, follow)
        pod.was_read(0.0, news=False, follow=follow)
        pauses.append(pod.pause_seconds)
    assert pauses == [1.5, 2.25, 3, 3]
    assert not pod.is_due(2.9, follow)
    pod.followers = 1
    assert pod.is_due(0.1, follow)
    pod.followers = 0
    pod.was_read(0.0, news=True, follow=follow)
    assert pod.is_due(1.0, follow)
    pod.seen("FAILED")
    assert pod.is_due(0.0, follow)
    pod.is_read = True
    assert not pod.is_due(100.0, follow)


async def test_requests_that_come_together_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Sites(settings()).of("default", "one")
    calls: list[list[str]] = []

    async def act(action: str, ids: list[str]) -> dict[str, int]:
        calls.append(list(ids))
        await asyncio.sleep(0)
        return dict.fromkeys(ids, 202)

    monkeypatch.setattr(site.element, "act", act)
    assert await asyncio.gather(*(site.act("kill", str(number)) for number in range(5))) == [202] * 5
    assert calls == [["0", "1", "2", "3", "4"]] or calls == [["0"], ["1", "2", "3", "4"]]


STREAM = encode(LogLine("main", 0, "stdout", 1, b"once"))


class Scripted:
    """An element with one job: `jobs` is what it tells of them, `failure` why one failed, or an error."""

    def __init__(self, pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: dict[str, str] = {}
        self.failure: str | BackendUnavailable = ""
        for name in ("states", "ids", "read", "info", "diagnose"):
            monkeypatch.setattr(pod.site.element, name, getattr(self, name))

    async def states(self, wanted: object) -> dict[str, str]:
        return {job: state for job, state in self.jobs.items() if state in states.TABLE}

    async def ids(self) -> list[str]:
        return list(self.jobs)

    async def read(self, job: str, name: str, offset: int, most_bytes: int) -> Slice:
        await asyncio.sleep(0.01)
        return Slice(STREAM[offset:], True)

    async def info(self, ids: object) -> dict[str, dict[str, Any]]:
        return {"1": {"ExitCode": "9", "Error": ["one", "two"]}}

    async def diagnose(self, job: str, item: str) -> str | None:
        if isinstance(self.failure, BackendUnavailable):
            raise self.failure
        return self.failure or None


@pytest.fixture
def followed(tmp_path: Path) -> tuple[Follow, Pod]:
    sites = Sites(settings(ces={"one": {"url": URL}}))
    follow = Follow(settings(), sites, Delegations(tmp_path / "delegations.json"))
    pod = Pod(a_pod(), sites.of("default", "one"), "1", Journal(tmp_path / "pod"), 0.0, state="RUNNING")
    follow.add(pod)
    return follow, pod


async def test_two_who_read_a_stream_at_once_bring_no_part_of_it_twice(
    followed: tuple[Follow, Pod], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, pod = followed
    Scripted(pod, monkeypatch)
    await asyncio.gather(follow.read_now(pod), follow.read_now(pod))
    assert (pod.journal.directory / "log/1.1").read_bytes() == STREAM


async def test_a_job_is_gone_only_when_it_is_missed_twice_in_a_row(followed: tuple[Follow, Pod], monkeypatch: pytest.MonkeyPatch) -> None:
    follow, pod = followed
    element = Scripted(pod, monkeypatch)
    seen = []
    for jobs in ({}, {"1": "RUNNING"}, {"1": "BRANDNEW"}, {}, {}):
        element.jobs = jobs
        await follow.look()
        seen.append(pod.state)
    assert seen == ["RUNNING", "RUNNING", "unknown", "unknown", states.GONE]


async def test_a_failure_is_told_with_its_cause_even_if_somebody_reads_the_log_first(
    followed: tuple[Follow, Pod], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow, pod = followed
    element = Scripted(pod, monkeypatch)
    pod.seen("FAILED")
    element.failure = BackendUnavailable("away")
    await follow.read_now(pod)
    assert pod.report() is None
    await follow._read()
    assert pod.report() is None
    element.failure = "LRMS error: (9)"
    await follow._read()
    report = pod.report()
    assert report is not None
    ended = report.containers[0].state
    assert isinstance(ended, Terminated)
    assert (ended.exit_code, ended.message) == (9, f"job {URL}/1 failed: LRMS error: (9)")


async def test_a_failure_that_only_the_information_system_knows_of(followed: tuple[Follow, Pod], monkeypatch: pytest.MonkeyPatch) -> None:
    follow, pod = followed
    Scripted(pod, monkeypatch)
    pod.seen("FAILED")
    await follow._read()
    assert (pod.failure, pod.exit_code, pod.is_read) == ("one; two", 9, True)
