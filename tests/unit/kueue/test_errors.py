"""No exception of the SDK and of the libraries below it escapes from client.py; each answer of an API server has its meaning."""

from __future__ import annotations

import inspect
import json
from types import ModuleType

import httpx
import kubernetes.config
import msgspec
import pytest
import yaml

from interlink_common.errors import BackendUnavailable, Refused
from interlink_kueue.client import FOREIGN_ERRORS, ApiRefusal, answer_error, connection_error
from interlink_kueue.creating import creation_error


def exceptions_of(module: ModuleType) -> list[type[Exception]]:
    found = [member for _, member in inspect.getmembers(module, inspect.isclass)]
    return [kind for kind in found if issubclass(kind, Exception) and not issubclass(kind, Warning)]


FOREIGN = {kind for module in (httpx, kubernetes.config, msgspec, yaml) for kind in exceptions_of(module)} - {httpx.CookieConflict}
"""Cookies are never sent."""


@pytest.mark.parametrize("kind", sorted(FOREIGN, key=str), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_foreign_exception_is_caught_and_temporary(kind: type[Exception]) -> None:
    assert issubclass(kind, FOREIGN_ERRORS)
    mapped = connection_error(type(kind.__name__, (kind,), {"__init__": lambda _: None, "__str__": lambda _: "its words"})())
    assert str(mapped) == "the remote cluster does not answer: its words"


def answer(status: int, message: str, reason: str = "") -> ApiRefusal | BackendUnavailable:
    return answer_error(status, json.dumps({"kind": "Status", "message": message, "reason": reason}).encode(), "7")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ApiRefusal), (401, ApiRefusal), (403, ApiRefusal), (404, ApiRefusal), (409, ApiRefusal), (410, ApiRefusal), (422, ApiRefusal),
     (429, BackendUnavailable), (500, BackendUnavailable), (502, BackendUnavailable), (503, BackendUnavailable), (504, BackendUnavailable)],
)  # fmt: skip
def test_answers(status: int, kind: type[Exception]) -> None:
    found = answer(status, 'it "says" <so>')
    assert type(found) is kind
    assert not set("<>&\"'\n") & set(str(found))


@pytest.mark.parametrize("words", ["etcdserver: request is too large", "rpc error: trying to send message larger than max (1 vs. 2)"])
def test_an_object_that_etcd_does_not_take_is_refused(words: str) -> None:
    found = answer(500, words)
    assert isinstance(found, ApiRefusal)
    assert found.status == 413


def test_the_servers_wish_to_wait_is_kept() -> None:
    found = answer(429, "too many requests")
    assert isinstance(found, BackendUnavailable)
    assert found.retry_after_seconds == 7


@pytest.mark.parametrize(
    ("status", "message", "kind", "said"),
    [
        (
            403,
            'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged',
            Refused,
            "the remote cluster does not accept the pod: violates PodSecurity ”restricted:latest”: privileged",
        ),
        (
            403,
            'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
            BackendUnavailable,
            "the quota of the remote namespace ns is full: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
        ),
        (
            403,
            'pods is forbidden: User "u" cannot create resource "pods" in API group "" in the namespace "ns"',
            BackendUnavailable,
            "the plugin lacks a right on the remote cluster: pods is forbidden: User ”u” cannot create resource ”pods”"
            " in API group ”” in the namespace ”ns”",
        ),
        (404, 'namespaces "ns" not found', BackendUnavailable, "the remote namespace ns does not exist"),
        (
            400,
            'admission webhook "deny.example.org" denied the request: not on Fridays',
            Refused,
            "the remote cluster does not accept the pod: admission webhook ”deny.example.org” denied the request: not on Fridays",
        ),
        (
            400,
            'strict decoding error: unknown field "spec.newField"',
            Refused,
            "the remote cluster does not accept the pod: unknown field ”spec.newField”",
        ),
        (
            422,
            'Pod "x" is invalid: spec.containers[0].image: Required value',
            Refused,
            "the remote cluster does not accept the pod: spec.containers[0].image: Required value",
        ),
    ],
)
def test_admission_errors_are_one_sentence(status: int, message: str, kind: type[Exception], said: str) -> None:
    found = answer(status, message)
    assert isinstance(found, ApiRefusal)
    explanation = creation_error(found, "ns")
    assert (type(explanation), str(explanation)) == (kind, said)
