"""The log of one remote container, with kubectl's options: the remote API server knows them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from interlink_common.backend import LogQuery
from interlink_common.errors import BackendUnavailable, NotFound
from interlink_common.logselect import rfc3339_nano
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.remotepod import RemotePod


async def read_log(cluster: Cluster, pod: RemotePod, query: LogQuery) -> AsyncIterator[bytes]:
    """Chunks, byte for byte. Raises NotFound, BackendUnavailable."""
    if pod.name == pod.job:
        raise NotFound(f"container {query.container} has no log: the pod has not begun")
    if query.previous and pod.past and not any(c.restart_count for c in pod.containers if c.name == query.container):
        raise NotFound(f"the log of container {query.container} of the run before went with its remote pod")
    try:
        async with aclosing(cluster.log(pod.namespace, pod.name, options(query))) as chunks:
            async for chunk in chunks:
                yield chunk
    except ApiRefusal as error:
        if error.is_denied:
            raise BackendUnavailable(f"the plugin may not read logs on the remote cluster: {error}") from error
        raise NotFound(f"container {query.container} has no log: {error}") from error


def options(query: LogQuery) -> dict[str, str]:
    """v1.PodLogOptions as a query."""
    asked = {
        "container": query.container,
        "follow": query.follow,
        "previous": query.previous,
        "timestamps": query.timestamps,
        "sinceTime": None if query.since_ns is None else rfc3339_nano(query.since_ns),
        "tailLines": query.tail_lines,
        "limitBytes": query.limit_bytes,
    }
    given = {name: value for name, value in asked.items() if value is not None and value is not False}
    return {name: "true" if value is True else str(value) for name, value in given.items()}
