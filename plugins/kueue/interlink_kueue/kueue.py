"""What Kueue says: of one pod in its Workload object, and of quota in the ClusterQueue. Pure.

Read: v1beta2 (and v1beta1, which has the same fields here). Conditions in the order in which they count:
Finished > Evicted while spec.active is false > Admitted > QuotaReserved > pending. PodsReady is not read: it says that a success failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from interlink_common.translation.quantities import milli, whole

Json = dict[str, Any]

GROUP = "kueue.x-k8s.io"
VERSIONS = ("v1beta2", "v1beta1")
"""Those we speak, the best first."""
VISIBILITY_GROUP = "visibility.kueue.x-k8s.io"

WAITING_WORDS = {
    "ExceedsMaxQuota": "the pod asks for more than the queue will ever have",
    "Misconfigured": "the queue is not set up",
    "Suspended": "the queue is held",
}
"""Reasons of QuotaReserved=False whose message alone would not tell a person what to do; all of them heal by themselves."""
FINAL_EVICTIONS = ("Deactivated",)
"""Beginnings of reasons after which somebody must act: no second run."""


@dataclass(frozen=True)
class Admission:
    """What Kueue says of one workload. `evicted` and `evicted_message`: why, of an eviction in force; `previously`: of one that is over.
    `worker`: MultiKueue's cluster that runs it."""

    name: str
    queue: str
    owner_uids: tuple[str, ...]
    admitted: bool = False
    finished: bool = False
    active: bool = True
    evicted: str = ""
    evicted_message: str = ""
    previously: str = ""
    reason: str = ""
    message: str = ""
    worker: str = ""


def read_workload(workload: Json) -> Admission:
    """The part of a Workload object that counts."""
    metadata, spec, status = workload["metadata"], workload.get("spec") or {}, workload.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}

    def true(kind: str) -> Json | None:
        condition = conditions.get(kind)
        return condition if condition and condition["status"] == "True" else None

    evicted, quota = true("Evicted"), conditions.get("QuotaReserved") or {}
    active = spec.get("active", True) is not False
    told = evicted if evicted and not active else quota
    reserved = true("QuotaReserved") is not None and not true("Admitted")
    return Admission(
        name=metadata["name"],
        queue=spec.get("queueName", ""),
        owner_uids=tuple(owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("kind") in ("Pod", "Job")),
        admitted=true("Admitted") is not None,
        finished=true("Finished") is not None,
        active=active,
        evicted=evicted["reason"] if evicted else "",
        evicted_message=evicted.get("message", "") if evicted else "",
        previously="" if evicted else (conditions.get("Evicted") or {}).get("message", ""),
        reason=told.get("reason", ""),
        message=_checking(status) if reserved and not evicted else told.get("message", ""),
        worker=status.get("clusterName", ""),
    )


def _checking(status: Json) -> str:
    """Of a workload that has its quota and waits for the queue's admission checks, of which MultiKueue is one."""
    checks = [
        f"{one['name']}: {one.get('message') or one['state']}" for one in status.get("admissionChecks") or () if one["state"] != "Ready"
    ]
    offered = ", ".join(status.get("nominatedClusterNames") or ())
    return f"quota is reserved, waiting for admission check {', '.join(checks)}" + (f", offered to {offered}" if offered else "")


def waiting_message(queue: str, admission: Admission | None, position: int | None = None) -> str:
    """Why a pod waits, in the queue's own words. `position` counts from 0."""
    if admission is None:
        return f"queue {queue}: Kueue has not taken the pod up yet"
    ahead = "" if position is None else f", {position} ahead" if position else ", next"
    if not admission.active:
        return f"queue {queue}: the workload is deactivated ({admission.reason}): {admission.message}"
    if not admission.message:
        return f"queue {queue}{ahead}: Kueue has not looked at the pod yet"
    explained = WAITING_WORDS.get(admission.reason)
    return f"queue {queue}{ahead}: {f'{explained}: ' if explained else ''}{admission.message}"


def is_final(eviction: str) -> bool:
    """Whether a second run would go against whoever ended the first."""
    return eviction.startswith(FINAL_EVICTIONS)


@dataclass(frozen=True)
class Quota:
    """What a ClusterQueue covers and offers, by resource name; cpu in milli, everything else in whole units."""

    name: str
    covered: frozenset[str] = frozenset()
    nominal: Mapping[str, int] = field(default_factory=dict)
    borrowing: Mapping[str, int] = field(default_factory=dict)


def read_cluster_queue(queue: Json) -> Quota:
    """Its quota, summed over flavors. A flavor without borrowingLimit in a cohort may borrow what others leave: that has no number."""
    covered: set[str] = set()
    nominal: dict[str, int] = {}
    borrowing: dict[str, int] = {}
    for group in (queue.get("spec") or {}).get("resourceGroups") or ():
        covered.update(group.get("coveredResources") or ())
        for flavor in group.get("flavors") or ():
            for resource in flavor.get("resources") or ():
                name = resource["name"]
                nominal[name] = nominal.get(name, 0) + amount(name, resource.get("nominalQuota", "0"))
                borrowing[name] = borrowing.get(name, 0) + amount(name, resource.get("borrowingLimit") or "0")
    return Quota(queue["metadata"]["name"], frozenset(covered), nominal, borrowing)


def amount(name: str, quantity: str | int) -> int:
    return milli(str(quantity), name) if name == "cpu" else whole(str(quantity), name)


def uncovered(quota: Quota, asked: Iterable[str]) -> list[str]:
    """Requested resources that the queue does not cover: Kueue leaves such a pod waiting without a word."""
    return sorted(set(asked) - quota.covered)


def total(quotas: Iterable[Quota], *, borrowing: bool) -> dict[str, int]:
    """What all of them offer together; two LocalQueues may share one ClusterQueue, which then counts once."""
    found: dict[str, int] = {}
    for quota in {quota.name: quota for quota in quotas}.values():
        for name, count in quota.nominal.items():
            found[name] = found.get(name, 0) + count + (quota.borrowing.get(name, 0) if borrowing else 0)
    return found
