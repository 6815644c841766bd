"""What the virtual node offers: the quota behind the queues, or what the remote nodes can allocate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlink_common.backend import NodeCapacity
from interlink_common.errors import BackendUnavailable
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.kueue import Quota, amount, total
from interlink_kueue.queues import Queues
from interlink_kueue.settings import KueueSettings

NOT_DEVICES = ("cpu", "memory", "pods", "ephemeral-storage")


async def capacity(clusters: Mapping[str, Cluster], queues: Mapping[str, Queues], settings: KueueSettings) -> NodeCapacity:
    """By the settings of that name. Raises BackendUnavailable."""
    chosen = settings.capacity
    queued = any(tenant.queue for tenant in settings.tenants.values())
    found: dict[str, int] = {}
    if chosen.source == "queue" or (chosen.source == "auto" and queued):
        found = total(await _quotas(clusters, queues, settings), borrowing=settings.queues.borrowing)
    elif chosen.source in ("nodes", "auto"):
        found = await _of_nodes([clusters[name] for name in sorted({tenant.cluster for tenant in settings.tenants.values()})])
    back = {remote: virtual for virtual, remote in settings.placement.resources.items()}
    return NodeCapacity(
        cpu_millis=_first(chosen.cpu_millis, found.get("cpu")),
        memory_bytes=_first(chosen.memory_bytes, found.get("memory")),
        pods=_first(chosen.pods, found.get("pods")),
        devices={back.get(name, name): count for name, count in sorted(found.items()) if name not in NOT_DEVICES and "/" in name},
    )


async def _quotas(clusters: Mapping[str, Cluster], queues: Mapping[str, Queues], settings: KueueSettings) -> Iterable[Quota]:
    """Of every ClusterQueue behind a tenant's queue, once."""
    quotas: dict[tuple[str, str], Quota] = {}
    for tenant in settings.tenants.values():
        if tenant.queue and "{namespace}" not in tenant.namespace:
            namespace = tenant.namespace or clusters[tenant.cluster].namespace
            quota = await queues[tenant.cluster].quota(namespace, tenant.queue)
            if quota is not None:
                quotas[tenant.cluster, quota.name] = quota
    return quotas.values()


async def _of_nodes(clusters: Iterable[Cluster]) -> dict[str, int]:
    """The sum over nodes that take pods; nothing where we may not see them."""
    found: dict[str, int] = {}
    for cluster in clusters:
        try:
            async for nodes, _ in cluster.listed("/api/v1/nodes"):
                for node in nodes:
                    if node["spec"].get("unschedulable"):
                        continue
                    for name, quantity in (node["status"].get("allocatable") or {}).items():
                        found[name] = found.get(name, 0) + amount(name, quantity)
        except ApiRefusal as error:
            if not error.is_denied:
                raise BackendUnavailable(str(error)) from error
    return found


def _first(override: int | None, found: int | None) -> int | None:
    return found if override is None else override
