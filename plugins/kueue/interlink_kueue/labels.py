"""Names, labels and annotations of everything a pod has on the remote cluster: they alone are enough to find it again.

A name is made of the pod's namespace, name and UID and of the run, so creating something twice is a conflict, never a second one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from interlink_common.errors import Refused
from interlink_common.model import codec
from interlink_common.model.workload import Workload
from interlink_common.translation.names import safe_name

PREFIX = "interlink.eu/"
INSTANCE, POD_UID, RUN, ROLE = f"{PREFIX}instance", f"{PREFIX}pod-uid", f"{PREFIX}run", f"{PREFIX}role"
POD_NAME, POD_NAMESPACE = f"{PREFIX}pod-name", f"{PREFIX}pod-namespace"
GROUP, SUBDOMAIN = f"{PREFIX}group", f"{PREFIX}subdomain"
STUB = f"{PREFIX}workload"
"""Annotation with what adoption needs; see `codec.stub`."""
PAST = f"{PREFIX}past"
"""Annotation with what became of earlier runs; see `history`."""
WARNINGS = f"{PREFIX}warnings"
ADOPTED = f"{PREFIX}adopted"
"""Annotation of a workload that was read from remote labels: it has no contents, so it can't be started again."""
FINALIZER = f"{PREFIX}outcome"
"""Keeps a pod that somebody deletes readable until its end is known here."""
GATE = f"{PREFIX}incomplete"
"""Scheduling gate of a pod whose files are not all there yet, or of which it is not known yet that Kueue holds it."""

KUEUE = "kueue.x-k8s.io/"
QUEUE_NAME, PRIORITY_CLASS, GROUP_NAME = f"{KUEUE}queue-name", f"{KUEUE}priority-class", f"{KUEUE}pod-group-name"
GROUP_COUNT, RETRIABLE = f"{KUEUE}pod-group-total-count", f"{KUEUE}retriable-in-group"
KUEUE_GATE, KUEUE_FINALIZER = f"{KUEUE}admission", f"{KUEUE}managed"

JOB_NAME = "batch.kubernetes.io/job-name"

CARRIER = "kueue.interlink.eu/carrier"
CHOSEN_QUEUE = "kueue.interlink.eu/queue-name"
ON_EVICTION = f"{PREFIX}on-eviction"
"""Annotations by which a pod chooses; see settings.queues, settings.tenants and settings.evictions."""

UID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
STUB_BYTES = 128 * 1024
"""All annotations of an object may have 256 KiB (apimachinery, TotalAnnotationSizeLimitB)."""


@dataclass(frozen=True)
class Place:
    """Where a remote pod is, or the Job that carries a pod. Its text is the pod's JID."""

    cluster: str
    namespace: str
    name: str
    is_job: bool = False

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{'jobs/' if self.is_job else ''}{self.name}"

    @property
    def path(self) -> str:
        if self.is_job:
            return f"{jobs_path(self.namespace)}/{self.name}"
        return f"{pods_path(self.namespace)}/{self.name}"

    @classmethod
    def parse(cls, jid: str) -> Place:
        """Raises ValueError."""
        cluster, namespace, *kind, name = jid.split("/")
        if kind not in ([], ["jobs"]):
            raise ValueError(f"{jid} is no place of a pod")
        return cls(cluster, namespace, name, is_job=bool(kind))


def pods_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def jobs_path(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def require_safe_uid(uid: str) -> None:
    """Raises Refused for a UID that is no label value; Kubernetes' own are UUIDs."""
    if not UID.fullmatch(uid):
        raise Refused("metadata.uid must consist of letters, digits, dots, - and _, and be at most 63 long")


def pod_name(pod: Workload, run: int) -> str:
    """The first run's name does not tell its number, so that most people never see one."""
    return safe_name(pod.namespace, pod.name, pod.uid, *([str(run)] if run else []))


def files_name(pod: Workload, run: int, what: str) -> str:
    return safe_name(pod.name, what, pod.uid, str(run))


def group_name(group: tuple[str, ...], run: int) -> str:
    """A group on the remote cluster; Kueue's workload is called so. To Kueue it is a new one in each run."""
    return safe_name(*group, *([str(run)] if run else []))


def subdomain(pod: Workload) -> str:
    """Those of two virtual namespaces never meet."""
    return safe_name(pod.namespace, pod.subdomain)


def ours(instance: str, pod: Workload, run: int) -> dict[str, str]:
    """Labels of every object of one run."""
    return {INSTANCE: instance, POD_UID: pod.uid, RUN: str(run)}


def told(pod: Workload) -> dict[str, str]:
    """Annotations for people, and for adoption if the database is lost."""
    annotations = {POD_NAME: pod.name, POD_NAMESPACE: pod.namespace, POD_UID: pod.uid}
    stub = codec.to_json(codec.stub(pod))
    if len(stub.encode()) <= STUB_BYTES:
        annotations[STUB] = stub
    return annotations


def adoptable(annotations: Mapping[str, str]) -> Workload | None:
    """The stub in a pod's annotations, marked as one; None if there is none that can be read."""
    try:
        return replace(codec.from_json(annotations[STUB]), annotations={ADOPTED: "true"})
    except (KeyError, ValueError):
        return None
