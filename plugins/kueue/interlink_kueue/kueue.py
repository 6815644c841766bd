"""Kueue's own objects as this plugin reads them: the Workload of a pod, and the quota of a ClusterQueue. Pure.

It reads v1beta2, and v1beta1, which has the same fields here. A Workload's conditions count in this order:
Finished > Evicted while spec.active is false > Admitted > QuotaReserved > pending. PodsReady is not read: it is false after a success.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from interlink_common.translation.quantities import milli, whole

Json = dict[str, Any]

GROUP = "kueue.x-k8s.io"
VERSIONS = ("v1beta2", "v1beta1")
"""The versions of the API that this plugin speaks, the best first."""
VISIBILITY_GROUP = "visibility.kueue.x-k8s.io"

WAITING_EXPLANATIONS = {
    "ExceedsMaxQuota": "the pod requests more than the queue can ever have",
    "Misconfigured": "the queue is not set up",
    "Suspended": "the queue is held",
}
"""For reasons of QuotaReserved=False whose message does not tell a person what to do. The pod goes on by itself once that is mended."""
FINAL_EVICTIONS = ("Deactivated",)
"""Beginnings of the reasons of evictions after which a pod does not run again: somebody wanted it to end."""


@dataclass(frozen=True)
class KueueWorkload:
    """What counts of Kueue's Workload object of one pod, Job or pod group. `evicted` and `evicted_message`: the reason of an eviction
    in force; `previously`: the message of one that is over. `worker`: the MultiKueue cluster that runs it."""

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


def read_kueue_workload(workload: Json) -> KueueWorkload:
    """Reads a Workload object as Kueue's API serves it."""
    metadata, spec, status = workload["metadata"], workload.get("spec") or {}, workload.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}

    def if_true(kind: str) -> Json | None:
        condition = conditions.get(kind)
        return condition if condition and condition["status"] == "True" else None

    evicted, quota = if_true("Evicted"), conditions.get("QuotaReserved") or {}
    active = spec.get("active", True) is not False
    deciding = evicted if evicted and not active else quota
    is_checked = if_true("QuotaReserved") is not None and not if_true("Admitted") and not evicted
    return KueueWorkload(
        name=metadata["name"],
        queue=spec.get("queueName", ""),
        owner_uids=tuple(owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("kind") in ("Pod", "Job")),
        admitted=if_true("Admitted") is not None,
        finished=if_true("Finished") is not None,
        active=active,
        evicted=evicted["reason"] if evicted else "",
        evicted_message=evicted.get("message", "") if evicted else "",
        previously="" if evicted else (conditions.get("Evicted") or {}).get("message", ""),
        reason=deciding.get("reason", ""),
        message=_admission_check_message(status) if is_checked else deciding.get("message", ""),
        worker=status.get("clusterName", ""),
    )


def _admission_check_message(status: Json) -> str:
    """What a workload with reserved quota waits for: the queue's admission checks, of which MultiKueue is one."""
    checks = [
        f"{check['name']}: {check.get('message') or check['state']}"
        for check in status.get("admissionChecks") or ()
        if check["state"] != "Ready"
    ]
    offered = ", ".join(status.get("nominatedClusterNames") or ())
    return f"quota is reserved, waiting for admission check {', '.join(checks)}" + (f", offered to {offered}" if offered else "")


def waiting_message(queue: str, kueue_workload: KueueWorkload | None, position: int | None = None) -> str:
    """Why a pod waits in its queue, with Kueue's own message. `position` counts from 0."""
    if kueue_workload is None:
        return f"queue {queue}: Kueue has not taken the pod up yet"
    ahead = "" if position is None else f", {position} ahead" if position else ", next"
    if not kueue_workload.active:
        return f"queue {queue}: the workload is deactivated ({kueue_workload.reason}): {kueue_workload.message}"
    if not kueue_workload.message:
        return f"queue {queue}{ahead}: Kueue has not looked at the pod yet"
    explanation = WAITING_EXPLANATIONS.get(kueue_workload.reason)
    return f"queue {queue}{ahead}: {f'{explanation}: ' if explanation else ''}{kueue_workload.message}"


def is_final_eviction(reason: str) -> bool:
    """Whether a second run would go against the will of whoever ended the first."""
    return reason.startswith(FINAL_EVICTIONS)


@dataclass(frozen=True)
class Quota:
    """What a ClusterQueue covers and offers, by resource name: cpu in thousandths, everything else in whole units."""

    name: str
    covered: frozenset[str] = frozenset()
    nominal: Mapping[str, int] = field(default_factory=dict)
    borrowing: Mapping[str, int] = field(default_factory=dict)


def read_cluster_queue(queue: Json) -> Quota:
    """Sums the quota over flavors. A flavor without borrowingLimit may borrow what its cohort leaves: that counts as 0."""
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
    """A quantity of that resource, in the unit of `Quota`."""
    return milli(str(quantity), name) if name == "cpu" else whole(str(quantity), name)


def uncovered_resources(quota: Quota, requested: Iterable[str]) -> list[str]:
    """The requested resources that the queue does not cover. Kueue would let such a pod wait without a reason."""
    return sorted(set(requested) - quota.covered)


def sum_quotas(quotas: Iterable[Quota], *, borrowing: bool) -> dict[str, int]:
    """What all of them offer together. Two LocalQueues may share one ClusterQueue, which then counts once."""
    total: dict[str, int] = {}
    for quota in {quota.name: quota for quota in quotas}.values():
        for name, count in quota.nominal.items():
            total[name] = total.get(name, 0) + count + (quota.borrowing.get(name, 0) if borrowing else 0)
    return total
