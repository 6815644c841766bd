"""No exception of the SDK and the libraries below it escapes the table in client.py."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import docker.errors
import pytest
import requests
import urllib3.exceptions

from interlink_common.agent.runtime import RuntimeUnavailable
from interlink_docker.client import FOREIGN_ERRORS, EngineRefusal, refusal, translated


def exceptions_of(module: ModuleType) -> list[type[Exception]]:
    found = [member for _, member in inspect.getmembers(module, inspect.isclass)]
    return [kind for kind in found if issubclass(kind, Exception) and not issubclass(kind, Warning) and kind.__module__ == module.__name__]


FOREIGN = [kind for module in (docker.errors, requests.exceptions, urllib3.exceptions) for kind in exceptions_of(module)]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_foreign_exception_is_caught_and_mapped(kind: type[Exception]) -> None:
    assert issubclass(kind, FOREIGN_ERRORS)
    members = {"__init__": lambda _: None, "__str__": lambda _: "its words", "response": None, "explanation": None}
    mapped = translated(type(kind.__name__, (kind,), members)())
    assert isinstance(mapped, EngineRefusal | RuntimeUnavailable)
    assert "its words" in str(mapped)


def answered(status: int, words: str) -> docker.errors.APIError:
    response: Any = requests.Response()
    response.status_code = status
    return docker.errors.APIError("", response=response, explanation=words)


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "bad parameter", EngineRefusal),
        (404, "No such container: x", EngineRefusal),
        (409, "name is in use", EngineRefusal),
        (500, "OCI runtime create failed", EngineRefusal),
        (503, "anything", RuntimeUnavailable),
        (500, 'dial unix /run/containerd/containerd.sock: timeout: connection error: desc = "transport"', RuntimeUnavailable),
        (500, "context canceled", RuntimeUnavailable),
    ],
)
def test_answers(status: int, words: str, kind: type[Exception]) -> None:
    assert type(translated(answered(status, words))) is kind
    assert type(refusal(status, words)) is kind


def test_words_are_fit_for_interlink() -> None:
    refused = refusal(500, 'exec: "x"\n<b> & more')
    assert not set("<>&\"'\n") & set(str(refused))
