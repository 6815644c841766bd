"""MultiKueue: a queued pod runs on a worker cluster, as a copy of the same name and namespace, and what is seen here mirrors its status.

Kueue copies the pod and nothing else, so its files are brought there, and its logs are read there.
"""

from __future__ import annotations

from collections.abc import Mapping

from interlink_common.errors import BackendUnavailable, NotFound
from interlink_kueue import creating, labels
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.mirror import Known, Mirror
from interlink_kueue.settings import KueueSettings
from interlink_kueue.translate import Objects

LOOK_SECONDS = 0.5


class Workers:
    """Those whose credentials the operator has named; see `queues.worker_clusters`."""

    def __init__(self, clusters: Mapping[str, Cluster], mirror: Mirror, settings: KueueSettings) -> None:
        self._clusters, self._mirror = clusters, mirror
        self._named = settings.queues.worker_clusters

    def of(self, known: Known) -> str:
        """The worker cluster's name, "" if the pod does not run on one."""
        admission = self._mirror.admission(known)
        return admission.worker if admission else ""

    def cluster(self, known: Known) -> Cluster:
        """Where the pod runs. Raises NotFound for a worker cluster without credentials."""
        worker = self.of(known)
        name = self._named.get(worker, "") if worker else known.cluster
        if name not in self._clusters:
            raise NotFound(
                f"the pod runs on the worker cluster {worker} of MultiKueue, of which the plugin has no credentials;"
                " the operator can name them in queues.worker_clusters"
            )
        return self._clusters[name]

    async def complete(self, known: Known, made: Objects) -> None:
        """Brings the pod's files to where it runs. Raises BackendUnavailable, also while Kueue has not copied the pod yet."""
        cluster = self.cluster(known)
        try:
            pod = await cluster.call("GET", known.path)
        except ApiRefusal as error:
            raise BackendUnavailable(f"the pod is not on cluster {cluster.name} yet: {error}", retry_after_seconds=LOOK_SECONDS) from error
        await creating.create_others(cluster, known.pod.namespace, made, pod)
        if labels.GATE in creating.gates(pod):  # copied in the moment before it was taken away
            await creating.ungate(cluster, pod)
