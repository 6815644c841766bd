"""Names, labels and annotations of everything that a pod has on the remote cluster; they are enough to find it again.

A name is made of the pod's namespace, name and UID and of the run's number: creating an object twice is a conflict, never a second one.
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
"""Annotation with what adoption needs of the workload; see `codec.stub`."""
EARLIER_RUNS = f"{PREFIX}past"
"""Annotation with what became of earlier runs; see `history`."""
WARNINGS = f"{PREFIX}warnings"
ADOPTED = f"{PREFIX}adopted"
"""Annotation of a workload that was read from a remote object: it has no commands and no files, so it cannot be started again."""
FINALIZER = f"{PREFIX}outcome"
"""Keeps a remote pod that somebody deletes readable until the plugin has reported its end."""
GATE = f"{PREFIX}incomplete"
"""Scheduling gate of a remote pod while its files are being created, or while it is unknown whether Kueue holds it."""

KUEUE = "kueue.x-k8s.io/"
QUEUE_NAME, PRIORITY_CLASS, GROUP_NAME = f"{KUEUE}queue-name", f"{KUEUE}priority-class", f"{KUEUE}pod-group-name"
GROUP_COUNT, RETRIABLE = f"{KUEUE}pod-group-total-count", f"{KUEUE}retriable-in-group"
KUEUE_GATE, KUEUE_FINALIZER = f"{KUEUE}admission", f"{KUEUE}managed"

JOB_NAME = "batch.kubernetes.io/job-name"

REMOTE_KIND, OLD_REMOTE_KIND = "kueue.interlink.eu/remote-kind", "kueue.interlink.eu/carrier"
CHOSEN_QUEUE = "kueue.interlink.eu/queue-name"
ON_EVICTION = f"{PREFIX}on-eviction"
"""Annotations with which a pod overrides settings; see settings.queues, settings.tenants and settings.evictions."""

UID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
STUB_BYTES = 128 * 1024
"""Limit of that annotation; all annotations of an object together may have 256 KiB (apimachinery, TotalAnnotationSizeLimitB)."""


@dataclass(frozen=True)
class ObjectRef:
    """The address of a Pod or a Job on a remote cluster. Of the object that a run consists of, its text is the pod's JID."""

    cluster: str
    namespace: str
    name: str
    is_job: bool = False

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{'jobs/' if self.is_job else ''}{self.name}"

    @property
    def path(self) -> str:
        """In the Kubernetes API."""
        if self.is_job:
            return f"{jobs_path(self.namespace)}/{self.name}"
        return f"{pods_path(self.namespace)}/{self.name}"

    @classmethod
    def parse(cls, jid: str) -> ObjectRef:
        """Raises ValueError for a text that is no JID."""
        cluster, namespace, *kind, name = jid.split("/")
        if kind not in ([], ["jobs"]):
            raise ValueError(f"{jid} is not the JID of a remote object")
        return cls(cluster, namespace, name, is_job=bool(kind))


def pods_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def jobs_path(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def require_safe_uid(uid: str) -> None:
    """Raises Refused for a UID that is no label value; Kubernetes' own are UUIDs."""
    if not UID.fullmatch(uid):
        raise Refused("metadata.uid must consist of letters, digits, dots, - and _, and be at most 63 long")


def pod_name(workload: Workload, run: int) -> str:
    """Name of the remote Pod or Job. That of the first run has no number, so most people never see one."""
    return safe_name(workload.namespace, workload.name, workload.uid, *([str(run)] if run else []))


def files_name(workload: Workload, run: int, content: str) -> str:
    """Name of a ConfigMap or Secret of one run."""
    return safe_name(workload.name, content, workload.uid, str(run))


def group_name(group: tuple[str, ...], run: int) -> str:
    """Name of a pod group, and so of its Kueue workload. Each run is a new group to Kueue."""
    return safe_name(*group, *([str(run)] if run else []))


def subdomain(workload: Workload) -> str:
    """Label value that selects the pods of one subdomain; those of two virtual namespaces never meet."""
    return safe_name(workload.namespace, workload.subdomain)


def run_labels(instance: str, workload: Workload, run: int) -> dict[str, str]:
    """Labels of every object of one run."""
    return {INSTANCE: instance, POD_UID: workload.uid, RUN: str(run)}


def identity_annotations(workload: Workload) -> dict[str, str]:
    """Annotations that name the pod to people, and that adoption reads if the plugin's database is lost."""
    annotations = {POD_NAME: workload.name, POD_NAMESPACE: workload.namespace, POD_UID: workload.uid}
    stub = codec.to_json(codec.stub(workload))
    if len(stub.encode()) <= STUB_BYTES:
        annotations[STUB] = stub
    return annotations


def adopted_workload(annotations: Mapping[str, str]) -> Workload | None:
    """The stub in a remote object's annotations, marked as adopted; None if there is none that can be read."""
    try:
        return replace(codec.from_json(annotations[STUB]), annotations={ADOPTED: "true"})
    except (KeyError, ValueError):
        return None
