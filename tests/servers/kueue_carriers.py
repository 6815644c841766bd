"""What Kueue's double reads of the pods and Jobs that a workload stands for."""

from __future__ import annotations

from collections.abc import Iterable

from interlink_common.translation.quantities import milli, whole
from tests.servers.kueue import Json


def as_pod(job: Json) -> Json:
    """What counts of a Job, as of a pod."""
    ends = {one["type"] for one in (job.get("status") or {}).get("conditions") or () if one["status"] == "True"}
    phase = "Succeeded" if "Complete" in ends else "Failed" if "Failed" in ends else ""
    told = {"apiVersion": "batch/v1", "kind": "Job", "metadata": job["metadata"], "spec": job["spec"]["template"]["spec"]}
    stopped = bool(job["spec"].get("suspend")) and not (job.get("status") or {}).get("active")
    return {**told, "status": {"phase": phase}, "stopped": stopped}


def is_stopped(one: Json) -> bool:
    """Whether it is a Job that is suspended and has no active pods."""
    return bool(one.get("stopped"))


def requests(pods: Iterable[Json]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pod in pods:
        for container in pod["spec"]["containers"]:
            for resource, quantity in ((container.get("resources") or {}).get("requests") or {}).items():
                found[resource] = found.get(resource, 0) + parsed(resource, quantity)
    return found


def parsed(resource: str, quantity: str) -> int:
    return milli(str(quantity), resource) if resource == "cpu" else whole(str(quantity), resource)


def text(resource: str, amount: int) -> str:
    return f"{amount}m" if resource == "cpu" and amount % 1000 else str(amount // 1000 if resource == "cpu" else amount)
