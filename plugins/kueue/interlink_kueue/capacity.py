"""What the virtual node offers: the quota behind the queues, or what the remote nodes can allocate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from interlink_common.backend import NodeCapacity
from interlink_common.errors import BackendUnavailable
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.kueue import Quota, amount, sum_quotas
from interlink_kueue.queues import Queues
from interlink_kueue.settings import KueueSettings

NOT_DEVICES = ("cpu", "memory", "pods", "ephemeral-storage")


async def capacity(clusters: Mapping[str, Cluster], queues: Mapping[str, Queues], settings: KueueSettings) -> NodeCapacity:
    """Follows the settings `capacity`. Raises BackendUnavailable."""
    chosen = settings.capacity
    queued = any(tenant.queue for tenant in settings.tenants.values())
    offered: dict[str, int] = {}
    if chosen.source == "queue" or (chosen.source == "auto" and queued):
        offered = sum_quotas(await _quotas(clusters, queues, settings), borrowing=settings.queues.borrowing)
    elif chosen.source in ("nodes", "auto"):
        offered = await _sum_nodes([clusters[name] for name in sorted({tenant.cluster for tenant in settings.tenants.values()})])
    virtual_names = {remote: virtual for virtual, remote in settings.placement.resources.items()}
    return NodeCapacity(
        cpu_millis=_first(chosen.cpu_millis, offered.get("cpu")),
        memory_bytes=_first(chosen.memory_bytes, offered.get("memory")),
        pods=_first(chosen.pods, offered.get("pods")),
        devices={
            virtual_names.get(name, name): count for name, count in sorted(offered.items()) if name not in NOT_DEVICES and "/" in name
        },
    )


async def _quotas(clusters: Mapping[str, Cluster], queues: Mapping[str, Queues], settings: KueueSettings) -> Iterable[Quota]:
    """The quota of each ClusterQueue behind a tenant's queue, once."""
    quotas: dict[tuple[str, str], Quota] = {}
    for tenant in settings.tenants.values():
        if tenant.queue and "{namespace}" not in tenant.namespace:
            namespace = tenant.namespace or clusters[tenant.cluster].namespace
            quota = await queues[tenant.cluster].quota(namespace, tenant.queue)
            if quota is not None:
                quotas[tenant.cluster, quota.name] = quota
    return quotas.values()


async def _sum_nodes(clusters: Iterable[Cluster]) -> dict[str, int]:
    """Sums what the nodes that take pods can allocate; nothing where the plugin has no right to list nodes."""
    total: dict[str, int] = {}
    for cluster in clusters:
        try:
            async for nodes, _ in cluster.list_pages("/api/v1/nodes"):
                for node in nodes:
                    if node["spec"].get("unschedulable"):
                        continue
                    for name, quantity in (node["status"].get("allocatable") or {}).items():
                        total[name] = total.get(name, 0) + amount(name, quantity)
        except ApiRefusal as error:
            if not error.is_denied:
                raise BackendUnavailable(str(error)) from error
    return total


def _first(override: int | None, offered: int | None) -> int | None:
    return offered if override is None else override
