"""Kueue's objects as this plugin reads them."""

from __future__ import annotations

from typing import Any

import pytest

from interlink_kueue.kueue import KueueWorkload, Quota, read_cluster_queue, read_kueue_workload, sum_quotas, uncovered_resources


def workload(active: bool = True, **conditions: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "w",
            "ownerReferences": [{"kind": "Pod", "uid": "a"}, {"kind": "Pod", "uid": "b"}, {"kind": "Job", "uid": "c"}],
        },
        "spec": {"queueName": "q", "active": active},
        "status": {"conditions": [{"type": t, "status": s, "reason": r, "message": m} for t, (s, r, m) in conditions.items()]},
    }


WAITS = ("False", "WaitingForQuota", "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (workload(), {}),
        (workload(QuotaReserved=WAITS), {"reason": WAITS[1], "message": WAITS[2]}),
        (
            workload(QuotaReserved=("True", "QuotaReserved", "yes"), Admitted=("True", "Admitted", "yes")),
            {"admitted": True, "reason": "QuotaReserved", "message": "yes"},
        ),
        (
            workload(Evicted=("True", "Preempted", "made room"), QuotaReserved=WAITS),
            {"evicted": "Preempted", "evicted_message": "made room", "reason": WAITS[1], "message": WAITS[2]},
        ),
        (
            workload(Evicted=("False", "QuotaReserved", "Previously: made room"), QuotaReserved=WAITS),
            {"previously": "Previously: made room", "reason": WAITS[1], "message": WAITS[2]},
        ),
        (
            workload(False, Evicted=("True", "Deactivated", "by hand"), QuotaReserved=WAITS),
            {
                "active": False,
                "evicted": "Deactivated",
                "evicted_message": "by hand",
                "reason": "Deactivated",
                "message": "by hand",
            },
        ),
        (workload(Finished=("True", "Succeeded", ""), PodsReady=("False", "Failed", "has failed")), {"finished": True}),
    ],
)
def test_workloads(item: dict[str, Any], expected: dict[str, Any]) -> None:
    assert read_kueue_workload(item) == KueueWorkload("w", "q", ("a", "b", "c"), **expected)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            {"admissionChecks": [{"name": "to-workers", "state": "Pending", "message": ""}], "nominatedClusterNames": ["east", "west"]},
            "quota is reserved, waiting for admission check to-workers: Pending, offered to east, west",
        ),
        (
            {"admissionChecks": [{"name": "a", "state": "Ready"}, {"name": "nodes", "state": "Pending", "message": "2 are being made"}]},
            "quota is reserved, waiting for admission check nodes: 2 are being made",
        ),
    ],
)
def test_what_admission_checks_are_waited_for(status: dict[str, Any], words: str) -> None:
    item = workload(QuotaReserved=("True", "QuotaReserved", "yes"), Admitted=("False", "UnsatisfiedAdmissionChecks", "not all"))
    item["status"] |= status
    assert read_kueue_workload(item).message == words


def test_quota() -> None:
    queue = {
        "metadata": {"name": "cq"},
        "spec": {
            "resourceGroups": [
                {
                    "coveredResources": ["cpu", "memory"],
                    "flavors": [
                        {
                            "name": "a",
                            "resources": [
                                {"name": "cpu", "nominalQuota": "1500m", "borrowingLimit": "1"},
                                {"name": "memory", "nominalQuota": "1Gi"},
                            ],
                        },
                        {"name": "b", "resources": [{"name": "cpu", "nominalQuota": 2}, {"name": "memory", "nominalQuota": "1Gi"}]},
                    ],
                },
                {
                    "coveredResources": ["nvidia.com/gpu"],
                    "flavors": [{"name": "a", "resources": [{"name": "nvidia.com/gpu", "nominalQuota": "8"}]}],
                },
            ]
        },
    }
    quota = read_cluster_queue(queue)
    assert quota == Quota(
        "cq",
        frozenset({"cpu", "memory", "nvidia.com/gpu"}),
        {"cpu": 3500, "memory": 2**31, "nvidia.com/gpu": 8},
        {"cpu": 1000, "memory": 0, "nvidia.com/gpu": 0},
    )
    assert uncovered_resources(quota, ["cpu", "example.com/fpga"]) == ["example.com/fpga"]
    assert sum_quotas([quota, quota], borrowing=False)["cpu"] == 3500
    assert sum_quotas([quota], borrowing=True)["cpu"] == 4500
