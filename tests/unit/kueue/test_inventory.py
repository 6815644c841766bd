"""What the plugin finds of its own on a cluster: whole inventories."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any

from interlink_common.backend import FoundJob
from interlink_kueue import labels
from interlink_kueue.client import Cluster
from interlink_kueue.inventory import Inventory, take_inventory
from interlink_kueue.labels import ObjectRef
from interlink_kueue.settings import ClusterSettings

SPEC: dict[str, Any] = {"containers": [{"name": "main", "image": "x"}]}
INCOMPLETE: dict[str, Any] = {**SPEC, "schedulingGates": [{"name": labels.GATE}]}


def pod(
    name: str, uid: str, *, run: int = 0, spec: dict[str, Any] = SPEC, more: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    named = {labels.POD_UID: uid, labels.RUN: str(run), **more}
    return {"metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}", "labels": named}, "spec": spec}


def job(name: str, uid: str) -> dict[str, Any]:
    return {**pod(name, uid, more={labels.QUEUE_NAME: "q"}), "spec": {"suspend": True, "template": {"spec": SPEC}}}


class Listed(Cluster):
    """A cluster of which somebody has listed everything."""

    def __init__(self, **items: list[dict[str, Any]]) -> None:
        super().__init__("default", ClusterSettings())
        self._items = items
        self.queries: list[tuple[str, Mapping[str, str] | None]] = []

    async def list_pages(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[tuple[list[dict[str, Any]], str]]:
        self.queries.append((path, query))
        yield self._items.get(path.rpartition("/")[2], []), "1"


async def take(cluster: Cluster, *, lists_jobs: bool = False, being_created: str = "") -> Inventory:
    return await take_inventory(
        {"default": cluster},
        [("default", "ns")],
        "node-1",
        lists_jobs=lambda *_: lists_jobs,
        is_being_created=lambda uid: uid == being_created,
    )


async def test_the_last_run_of_each_pod_counts() -> None:
    cluster = Listed(pods=[pod("a-1", "a", run=1), pod("a", "a"), pod("b", "b"), pod("of-nobody", "")])
    found = [FoundJob("a", "default/ns/a-1"), FoundJob("b", "default/ns/b")]
    assert await take(cluster) == Inventory(found)
    assert cluster.queries == [("/api/v1/namespaces/ns/pods", {"labelSelector": "interlink.eu/instance=node-1"})]


async def test_leftovers_are_not_what_is_being_created() -> None:
    cluster = Listed(pods=[pod("a", "a", spec=INCOMPLETE), pod("b", "b", spec=INCOMPLETE)])
    leftovers = [("a", ObjectRef("default", "ns", "a"))]
    assert await take(cluster, being_created="b") == Inventory([FoundJob("b", "default/ns/b")], leftovers)


async def test_jobs_are_listed_where_there_may_be_one_or_a_pod_of_one() -> None:
    found, namespaces = [FoundJob("a", "default/ns/jobs/a")], {("default", "ns")}
    assert await take(Listed(jobs=[job("a", "a")]), lists_jobs=True) == Inventory(found, [], namespaces)
    of_a_job = pod("a-x", "a", more={labels.JOB_NAME: "a"})
    assert await take(Listed(pods=[of_a_job], jobs=[job("a", "a")])) == Inventory(found, [], namespaces)
    assert await take(Listed(jobs=[job("a", "a")])) == Inventory()
