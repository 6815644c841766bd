"""Request bodies as what tracking works with: the one place where it meets the contract and the translation."""

from __future__ import annotations

from dataclasses import dataclass

from interlink_common.backend import Backend, LogQuery
from interlink_common.contract.logs import parse_logs
from interlink_common.contract.requests import parse_create, parse_delete
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_common.translation.translate import translate_checked

DEFAULT_GRACE_SECONDS = 30
"""v1.PodSpec.terminationGracePeriodSeconds' default."""
MAX_GRACE_SECONDS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Deletion:
    uid: str
    namespace: str
    name: str
    grace_seconds: int


def read_delete(body: bytes) -> Deletion:
    """The grace is metadata.deletionGracePeriodSeconds (there only if a container ran), else the spec's. Raises BadRequest."""
    pod = parse_delete(body)
    metadata = pod.metadata
    wishes = (metadata.deletion_grace_period_seconds, pod.spec.termination_grace_period_seconds)
    grace_seconds = next((wish for wish in wishes if wish is not None), DEFAULT_GRACE_SECONDS)
    return Deletion(metadata.uid, metadata.namespace, metadata.name, min(max(grace_seconds, 0), MAX_GRACE_SECONDS))


def read_create(body: bytes, backend: Backend, settings: PluginSettings) -> Workload:
    """The Workload of a create body, with its warnings. Raises BadRequest, or Refused where policy or the backend say no."""
    workload = translate_checked(
        parse_create(body),
        backend.capabilities,
        settings.unsupported,
        skip_downward_api_resolution=settings.skip_downward_api_resolution,
        cvmfs_claims=settings.cvmfs_claims,
        node_name=settings.node_name,
    )
    backend.admit(workload)
    return workload


def read_logs(body: bytes, now: float) -> tuple[str, LogQuery]:
    """The pod's UID, and the part of a log that the request wants. `now` in unix seconds resolves SinceSeconds. Raises BadRequest."""
    request = parse_logs(body)
    return request.pod_uid, request.to_query(now)
