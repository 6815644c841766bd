"""List, watch, and again: what a reflector yields when versions expire and watches end. The API server is a list of answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from interlink_common.errors import BackendUnavailable
from interlink_kueue import reflector
from interlink_kueue.client import Cluster
from interlink_kueue.reflector import list_and_watch
from interlink_kueue.settings import ClusterSettings

PODS = "/api/v1/namespaces/ns/pods"


def page(names: str, version: str, token: str = "") -> httpx.Response:
    items = [{"metadata": {"name": name}} for name in names]
    return httpx.Response(200, json={"metadata": {"resourceVersion": version, "continue": token}, "items": items})


def watch(*events: tuple[str, str, str]) -> httpx.Response:
    lines = [{"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version}}} for kind, name, version in events]
    return httpx.Response(200, content="".join(json.dumps(event) + "\n" for event in lines))


EXPIRED = httpx.Response(
    200, content=json.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}) + "\n"
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[httpx.QueryParams]:
    monkeypatch.setattr(reflector, "SHORTEST_WATCH_SECONDS", 0.0)
    return []


@pytest.fixture
def answering(tmp_path: Path, asked: list[httpx.QueryParams]) -> Callable[..., Cluster]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}],
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "u", "user": {}}],
            }
        )
    )

    def build(*answers: httpx.Response) -> Cluster:
        waiting = list(answers)

        def handle(request: httpx.Request) -> httpx.Response:
            asked.append(request.url.params)
            return waiting.pop(0) if waiting else httpx.Response(503)

        cluster = Cluster("default", ClusterSettings(kubeconfig=kubeconfig))
        opened = cluster._open

        def open_mocked(credentials: object) -> httpx.AsyncClient:
            client = opened(credentials)  # type: ignore[arg-type]
            client._transport = httpx.MockTransport(handle)
            return client

        cluster._open = open_mocked  # type: ignore[method-assign]
        return cluster

    return build


async def events_until_lost(cluster: Cluster) -> list[str]:
    """Everything until the cluster is lost, as kind:name."""
    found: list[str] = []

    async def read() -> None:
        async for one in list_and_watch(cluster, PODS, {"labelSelector": "x=y"}):
            found.append(f"{one.kind}:{one.object.get('metadata', {}).get('name', '')}")  # noqa: PERF401  it ends with an exception

    with pytest.raises(BackendUnavailable):
        await read()
    await cluster.close()
    return found


async def test_pages_then_watches_from_where_the_last_one_ended(answering: Callable[..., Cluster], asked: list[httpx.QueryParams]) -> None:
    cluster = answering(
        page("ab", "5", "next"), page("c", "5"), watch(("ADDED", "d", "6"), ("BOOKMARK", "", "9")), watch(("DELETED", "a", "10"))
    )
    assert await events_until_lost(cluster) == ["list begins:", "present:a", "present:b", "present:c", "synced:", "present:d", "gone:a"]
    assert [(one.get("continue"), one.get("resourceVersion"), one["labelSelector"]) for one in asked[:4]] == [
        (None, None, "x=y"), ("next", None, "x=y"), (None, "5", "x=y"), (None, "9", "x=y")
    ]  # fmt: skip
    assert asked[4]["resourceVersion"] == "10"


async def test_an_expired_version_is_listed_again(answering: Callable[..., Cluster]) -> None:
    cluster = answering(
        page("a", "5"), EXPIRED, page("b", "8"), httpx.Response(410, json={"message": "gone", "reason": "Expired"}), page("c", "9")
    )
    assert await events_until_lost(cluster) == [
        "list begins:", "present:a", "synced:", "list begins:", "present:b", "synced:", "list begins:", "present:c", "synced:"
    ]  # fmt: skip
