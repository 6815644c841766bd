"""Anything at all sent to a running plugin: never a 5xx, never a traceback, always one sentence."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlink_common.virtualkubelet.judge import judge_sentence

pytestmark = pytest.mark.slow

WIRE = Path(__file__).parents[3] / "wire"
UNHURRIED = settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a plugin process; at the end its log must tell of no error of its own."""
    directory = tmp_path_factory.mktemp("service")
    url, telemetry = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    log = directory / "log"
    with log.open("w") as errors:
        child = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("process.py")), str(directory / "state"), url, telemetry], stderr=errors
        )
    try:
        with httpx.Client(trust_env=False) as http:
            while True:
                try:
                    if http.get(f"{telemetry}/readyz").status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.05)
        yield url
        child.terminate()
        assert child.wait(timeout=60) == 0
    finally:
        child.kill()
        child.wait()
    failures = [line for line in log.read_text().splitlines() if json.loads(line)["level"] in ("error", "critical")]
    assert failures == []


@pytest.fixture(scope="module")
def http(service: str) -> Iterator[httpx.Client]:
    """One for all requests: making a client costs more than asking does."""
    with httpx.Client(base_url=service, trust_env=False) as client:
        yield client


def check(answer: Any) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        judge_sentence(answer.text)


@pytest.mark.parametrize("path", ["/create", "/status", "/getLogs", "/delete"])
def test_what_the_schema_allows_and_what_it_does_not(service: str, path: str) -> None:
    schema = schemathesis.openapi.from_url(f"{service}/openapi.json")
    operation = schema[path]["GET" if path in ("/status", "/getLogs") else "POST"]

    @UNHURRIED
    @given(case=operation.as_strategy())
    def sent(case: Any) -> None:
        check(case.call())

    sent()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "<&\"'\n>", "0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "key", "x"]), inner, max_size=3),
    max_leaves=4,
)


def paths(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from paths(inner, (*here, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


REAL = [json.loads(file.read_text()) for file in sorted(WIRE.glob("*.json"))]
SPOTS = [(request, path) for request in REAL for path in paths(request["body"]) if "managedFields" not in path]


@settings(UNHURRIED, max_examples=400)
@given(spot=st.sampled_from(SPOTS), new=JSON)
def test_a_real_request_with_anything_in_one_place(http: httpx.Client, spot: tuple[Any, tuple[Any, ...]], new: Any) -> None:
    request, path = spot
    body = replaced(request["body"], path, new)
    with http.stream(request["method"], request["path"], content=json.dumps(body)) as answer:
        if answer.status_code != 200:
            answer.read()
            check(answer)


@UNHURRIED
@given(body=st.binary(max_size=200), path=st.sampled_from(["/create", "/status", "/getLogs", "/delete"]))
def test_bytes_of_any_kind(http: httpx.Client, body: bytes, path: str) -> None:
    method = "GET" if path in ("/status", "/getLogs") else "POST"
    check(http.request(method, path, content=body))
