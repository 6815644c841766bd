"""GET /status from memory: raw body in, raw answer out, reading only the dozen names that the answer depends on.

interLink asks for one pod per request and for all pods in sequence, so latency here multiplies with the number of pods: an answer
is composed once per change and then handed out as bytes.
"""

from __future__ import annotations

import msgspec

from interlink_common.errors import BadRequest
from interlink_common.tracking.composition import UNKNOWN, Subject, compose, compose_waiting
from interlink_common.tracking.last_known import last_known_entry
from interlink_common.tracking.pods import CachedAnswer, Intent, PodRecord
from interlink_common.tracking.registry import Registry

_NO_RECORD = "no record of this pod here; delete it and create a new one"
_NOT_SUBMITTED = "waiting for interLink to create the pod here"
_NOTHING = msgspec.Raw(b"null")


class _Named(msgspec.Struct, gc=False):
    name: str = ""


class _Init(msgspec.Struct, gc=False):
    name: str = ""
    restart_policy: str | None = msgspec.field(name="restartPolicy", default=None)


class _Annotations(msgspec.Struct, gc=False):
    job_id: str | None = msgspec.field(name="JobID", default=None)
    not_offloaded: str | None = msgspec.field(name="interlink.eu/disable-offload-containers", default=None)
    not_offloaded_init: str | None = msgspec.field(name="interlink.eu/disable-offload-init-containers", default=None)


class _Metadata(msgspec.Struct, gc=False):
    uid: str
    name: str = ""
    namespace: str = ""
    annotations: _Annotations | None = None


class _Spec(msgspec.Struct, gc=False):
    containers: list[_Named] | None = None
    init_containers: list[_Init] | None = msgspec.field(name="initContainers", default=None)


class _Status(msgspec.Struct, gc=False):
    """Left as text: it is rarely needed, and half of the body."""

    statuses: msgspec.Raw = msgspec.field(name="containerStatuses", default=_NOTHING)
    init_statuses: msgspec.Raw = msgspec.field(name="initContainerStatuses", default=_NOTHING)


class RequestedPod(msgspec.Struct, gc=False):
    """The part of a v1.Pod in a status request that the answer depends on."""

    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


_NO_STATUS = _Status()
_init_decoder = msgspec.json.Decoder(list[_Named] | None)
_decoder = msgspec.json.Decoder(list[RequestedPod] | None)


def parse_status(body: bytes) -> list[RequestedPod]:
    """The pods of the request; none means a ping. Raises BadRequest naming the field."""
    try:
        return _decoder.decode(body) or []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body of a status request must be a list of pods: {error}") from None


def answer(registry: Registry, pods: list[RequestedPod]) -> bytes:
    """The wire answer to a status request that is not a ping."""
    now = registry.contact.call()
    entries = (_entry(registry, pod, now) for pod in pods)
    return b"[" + b",".join(entry for entry in entries if entry is not None) + b"]"


def _entry(registry: Registry, pod: RequestedPod, now: float) -> bytes | None:
    record = registry.pods.get(pod.metadata.uid)
    if record is None:
        return _unknown(registry, pod)
    record.requested(now)
    containers, inits = _names(pod)
    if not containers:
        return None
    if record.is_restored and record.intent is Intent.ACTIVE and not record.finished:
        return _last_known(registry, record, pod, containers, inits)
    cached = record.cached
    if cached is None or cached.outage != registry.backend.outage or (cached.containers, cached.init_containers) != (containers, inits):
        cached = _composed(registry, record, pod, containers, inits)
        record.cache(cached)
    if cached.hold_back and not _all_seen(pod, inits):
        return compose_waiting(_subject(record, pod, containers, inits), "ContainerCreating", warnings=record.warnings)
    return cached.wire


def _last_known(
    registry: Registry, record: PodRecord, pod: RequestedPod, containers: tuple[str, ...], inits: tuple[str, ...]
) -> bytes | None:
    """The backend has not reported the pod since the restart. None while there is no outage to mention: the pod is then left out."""
    outage, status = registry.backend.sentence, pod.status or _NO_STATUS
    if not outage:
        return None
    return last_known_entry(_subject(record, pod, containers, inits), bytes(status.statuses), bytes(status.init_statuses), outage)


def _names(pod: RequestedPod) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Containers and init containers as they must be answered: native sidecars left out."""
    spec = pod.spec
    if spec is None:
        return (), ()
    containers = tuple([c.name for c in spec.containers or ()])
    return containers, tuple([c.name for c in spec.init_containers or () if c.restart_policy != "Always"])


def _composed(
    registry: Registry, record: PodRecord, pod: RequestedPod, containers: tuple[str, ...], inits: tuple[str, ...]
) -> CachedAnswer:
    composed = compose(
        _subject(record, pod, containers, inits),
        record.report,
        not_offloaded=record.not_offloaded | _annotated(pod),
        warnings=record.warnings,
        notice=registry.backend.sentence or record.postponed_because,
    )
    return CachedAnswer(containers, inits, registry.backend.outage, composed.wire, composed.hold_back)


def _subject(record: PodRecord, pod: RequestedPod, containers: tuple[str, ...], inits: tuple[str, ...]) -> Subject:
    metadata = pod.metadata
    return Subject(record.uid, record.namespace or metadata.namespace, record.name or metadata.name, record.wire_jid, containers, inits)


def _annotated(pod: RequestedPod) -> frozenset[str]:
    """Containers that stay in the cluster, as the pod itself says: an adopted pod's record does not know them."""
    annotations = pod.metadata.annotations
    if annotations is None:
        return frozenset()
    listed = f"{annotations.not_offloaded or ''},{annotations.not_offloaded_init or ''}"
    return frozenset(name.strip() for name in listed.split(",") if name.strip())


def _all_seen(pod: RequestedPod, inits: tuple[str, ...]) -> bool:
    """Whether the virtual kubelet has an entry of every init container already."""
    try:
        statuses = _init_decoder.decode((pod.status or _NO_STATUS).init_statuses)
    except msgspec.DecodeError:
        return False
    return {status.name for status in statuses or ()}.issuperset(inits)


def _unknown(registry: Registry, pod: RequestedPod) -> bytes | None:
    """None leaves the pod out, so that the virtual kubelet keeps its last state: right where we may still learn more.

    A pod without containers is left out too: an empty list would mean that it succeeded.
    """
    uid = pod.metadata.uid
    containers, inits = _names(pod)
    if not registry.recovered or uid in registry.tombstones or not containers:
        return None
    annotations = pod.metadata.annotations
    job_id = (annotations and annotations.job_id) or ""
    subject = Subject(uid, pod.metadata.namespace, pod.metadata.name, job_id, containers, inits)
    if job_id:
        return compose_waiting(subject, UNKNOWN, _NO_RECORD)
    return compose_waiting(subject, "ContainerCreating", _NOT_SUBMITTED)
