"""Where a run's containers are: on its own cluster, or with MultiKueue on a worker cluster. Logs are read there, and files brought there.

MultiKueue copies a queued pod to a worker cluster, under the same name and namespace, and the pod on the manager's cluster shows the status
of its copy. Kueue copies the pod and nothing else, so the plugin creates its files there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing

from interlink_common.backend import LogQuery
from interlink_common.errors import BackendUnavailable, NotFound
from interlink_common.logselect import rfc3339_nano
from interlink_kueue import creating, labels
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.index import Index
from interlink_kueue.remotepod import RemoteRun
from interlink_kueue.settings import KueueSettings
from interlink_kueue.translate import RunObjects

LOOK_SECONDS = 0.5


class WorkerClusters:
    """The clusters that runs are on; see the setting queues.worker_clusters."""

    def __init__(self, clusters: Mapping[str, Cluster], index: Index, settings: KueueSettings) -> None:
        self._clusters, self._index = clusters, index
        self._worker_clusters = settings.queues.worker_clusters

    def cluster_of(self, run: RemoteRun) -> Cluster:
        """The cluster on which the run's containers are. Raises NotFound for a worker cluster without credentials."""
        kueue_workload = self._index.kueue_workload(run)
        worker = kueue_workload.worker if kueue_workload else ""
        name = self._worker_clusters.get(worker, "") if worker else run.cluster
        if name not in self._clusters:
            raise NotFound(
                f"the pod runs on the worker cluster {worker} of MultiKueue, for which the plugin has no credentials;"
                " the operator can name them in queues.worker_clusters"
            )
        return self._clusters[name]

    async def bring_files(self, run: RemoteRun, objects: RunObjects) -> None:
        """Creates the pod's files next to its copy. Raises BackendUnavailable, also while Kueue has not copied the pod yet."""
        cluster = self.cluster_of(run)
        try:
            pod = await cluster.call("GET", run.pod_path)
        except ApiRefusal as error:
            raise BackendUnavailable(f"the pod is not on cluster {cluster.name} yet: {error}", retry_after_seconds=LOOK_SECONDS) from error
        await creating.create_owned_objects(cluster, run.pod.namespace, objects, pod)
        if labels.GATE in creating.scheduling_gates(pod):  # Kueue has copied the pod just before its gate was removed
            await creating.remove_gate(cluster, pod)

    async def read_log(self, run: RemoteRun, query: LogQuery) -> AsyncIterator[bytes]:
        """Yields the log of a container in chunks, byte for byte. Raises NotFound, BackendUnavailable."""
        pod, container = run.pod, query.container
        if pod.name == pod.job:
            raise NotFound(f"container {container} has no log: the pod has not started")
        if query.previous and pod.earlier_runs and not any(c.restart_count for c in pod.containers if c.name == container):
            raise NotFound(f"the log of container {container} of the previous run was deleted with its remote pod")
        try:
            async with aclosing(self.cluster_of(run).read_log(pod.namespace, pod.name, log_options(query))) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ApiRefusal as error:
            if error.is_denied:
                raise BackendUnavailable(f"the plugin may not read logs on the remote cluster: {error}") from error
            raise NotFound(f"container {container} has no log: {error}") from error


def log_options(query: LogQuery) -> dict[str, str]:
    """v1.PodLogOptions as a query: the API server knows all of kubectl's options."""
    options = {
        "container": query.container,
        "follow": query.follow,
        "previous": query.previous,
        "timestamps": query.timestamps,
        "sinceTime": None if query.since_ns is None else rfc3339_nano(query.since_ns),
        "tailLines": query.tail_lines,
        "limitBytes": query.limit_bytes,
    }
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    return {name: "true" if value is True else str(value) for name, value in given.items()}
