"""GET /status from memory: raw body in, raw answer out, reading only the dozen names that the answer depends on.

interLink asks for one pod per request and for all pods in sequence, so latency here multiplies with the number of pods: an answer
is composed once per change and then handed out as bytes.
"""

from __future__ import annotations

import msgspec

from interlink_common.errors import BadRequest
from interlink_common.tracking.composition import UNKNOWN, Subject, compose, compose_waiting
from interlink_common.tracking.echo import echo
from interlink_common.tracking.pods import Entry, Intent, Pod, Registry

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


class AskedPod(msgspec.Struct, gc=False):
    """The part of a v1.Pod in a status request that the answer depends on."""

    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


_NO_STATUS = _Status()
_init_decoder = msgspec.json.Decoder(list[_Named] | None)
_decoder = msgspec.json.Decoder(list[AskedPod] | None)


def parse_status(body: bytes) -> list[AskedPod]:
    """The pods asked for; none means a ping. Raises BadRequest naming the field."""
    try:
        return _decoder.decode(body) or []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body of a status request must be a list of pods: {error}") from None


def answer(registry: Registry, asked: list[AskedPod]) -> bytes:
    """The wire answer to a status request that is not a ping."""
    now = registry.contact.call()
    entries = (_entry(registry, pod, now) for pod in asked)
    return b"[" + b",".join(entry for entry in entries if entry is not None) + b"]"


def _entry(registry: Registry, asked: AskedPod, now: float) -> bytes | None:
    pod = registry.pods.get(asked.metadata.uid)
    if pod is None:
        return _unknown(registry, asked)
    pod.asked_at = now
    pod.orphan = False
    containers, inits = _names(asked)
    if not containers:
        return None
    if pod.intent is Intent.ACTIVE and not (pod.observed or pod.finished):
        return _echoed(registry, pod, asked, containers, inits)
    entry = pod.entry
    if entry is None or entry.frozen_epoch != registry.backend.epoch or (entry.containers, entry.init_containers) != (containers, inits):
        entry = pod.entry = _composed(registry, pod, asked, containers, inits)
    if entry.hold_back and not _all_seen(asked, inits):
        return compose_waiting(_subject(pod, asked, containers, inits), "ContainerCreating", warnings=pod.warnings)
    return entry.wire


def _echoed(registry: Registry, pod: Pod, asked: AskedPod, containers: tuple[str, ...], inits: tuple[str, ...]) -> bytes | None:
    """Not heard of since the restart: what interLink knows stands, with a word on the outage if there is one."""
    outage, told = registry.backend.sentence, asked.status or _NO_STATUS
    return echo(_subject(pod, asked, containers, inits), bytes(told.statuses), bytes(told.init_statuses), outage) if outage else None


def _names(asked: AskedPod) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Containers and init containers as they must be answered: native sidecars left out."""
    spec = asked.spec
    if spec is None:
        return (), ()
    containers = tuple([c.name for c in spec.containers or ()])
    return containers, tuple([c.name for c in spec.init_containers or () if c.restart_policy != "Always"])


def _composed(registry: Registry, pod: Pod, asked: AskedPod, containers: tuple[str, ...], inits: tuple[str, ...]) -> Entry:
    composed = compose(
        _subject(pod, asked, containers, inits),
        pod.report,
        not_offloaded=pod.not_offloaded | _annotated(asked),
        warnings=pod.warnings,
        frozen=registry.backend.sentence or pod.trouble,
    )
    return Entry(containers, inits, registry.backend.epoch, composed.wire, composed.hold_back)


def _subject(pod: Pod, asked: AskedPod, containers: tuple[str, ...], inits: tuple[str, ...]) -> Subject:
    metadata = asked.metadata
    return Subject(pod.uid, pod.namespace or metadata.namespace, pod.name or metadata.name, pod.wire_jid, containers, inits)


def _annotated(asked: AskedPod) -> frozenset[str]:
    """Containers that stay in the cluster, as the pod itself says: an adopted pod's record does not know them."""
    annotations = asked.metadata.annotations
    if annotations is None:
        return frozenset()
    listed = f"{annotations.not_offloaded or ''},{annotations.not_offloaded_init or ''}"
    return frozenset(name.strip() for name in listed.split(",") if name.strip())


def _all_seen(asked: AskedPod, inits: tuple[str, ...]) -> bool:
    """Whether the virtual kubelet has an entry of every init container already."""
    try:
        statuses = _init_decoder.decode((asked.status or _NO_STATUS).init_statuses)
    except msgspec.DecodeError:
        return False
    return {status.name for status in statuses or ()}.issuperset(inits)


def _unknown(registry: Registry, asked: AskedPod) -> bytes | None:
    """None leaves the pod out, so that the virtual kubelet keeps its last state: right where we may still learn more.

    A pod without containers is left out too: an empty list would mean that it succeeded.
    """
    uid = asked.metadata.uid
    containers, inits = _names(asked)
    if not registry.recovered or uid in registry.tombstones or not containers:
        return None
    annotations = asked.metadata.annotations
    job_id = (annotations and annotations.job_id) or ""
    subject = Subject(uid, asked.metadata.namespace, asked.metadata.name, job_id, containers, inits)
    if job_id:
        return compose_waiting(subject, UNKNOWN, _NO_RECORD)
    return compose_waiting(subject, "ContainerCreating", _NOT_SUBMITTED)
