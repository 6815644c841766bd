"""Pods that run as a suspended Job: Kueue starts the Job, suspends it and starts it again, each time with a new pod of the Job. Pure.

How the virtual pod ended is what the Job says, Complete or Failed. Before it says so, Kueue may have stopped the pod that has ended, and
the Job's next pod follows. The ends of such superseded pods are kept in the Job's annotation `labels.EARLIER_RUNS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from interlink_kueue import history, labels
from interlink_kueue.history import EndedRun
from interlink_kueue.kueue import KueueWorkload, is_final_eviction
from interlink_kueue.podreader import read_pod
from interlink_kueue.remotepod import EVICTED_BY_KUEUE, RemotePod, ended_run, with_remembered_states

Json = dict[str, Any]

REPLACED_REASON = "Replaced"
"""Reason of a pod's end that this plugin did not see: it was not running, and Kueue has admitted the Job again since."""


def job_object(pod: Json) -> Json:
    """Builds the Job for a remote pod. Kueue does not look at a Job before it has the label of its queue; see `queue_labels`."""
    metadata = pod["metadata"]
    plain_labels = {name: value for name, value in metadata["labels"].items() if not name.startswith(labels.KUEUE)}
    annotations = {name: value for name, value in metadata["annotations"].items() if name != labels.EARLIER_RUNS}
    spec = {name: value for name, value in pod["spec"].items() if name != "schedulingGates"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata, "labels": {**plain_labels, labels.ROLE: "job"}, "finalizers": []},
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": {
                "metadata": {"labels": plain_labels, "annotations": annotations, "finalizers": metadata["finalizers"]},
                "spec": spec,
            },
        },
    }


def pod_object(job: Json) -> Json:
    """The pod as the Job would make it, to find out whether it is admitted: a Job whose pod is not admitted only waits."""
    template = job["spec"]["template"]
    metadata = {**template["metadata"], "generateName": f"{job['metadata']['name']}-", "finalizers": []}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def queue_labels(pod: Json) -> dict[str, str]:
    """The labels by which Kueue takes a Job up. The Job gets them last, when everything that belongs to it is there."""
    return {name: value for name, value in pod["metadata"]["labels"].items() if name.startswith(labels.KUEUE)}


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """What counts of a batch/v1 Job. `pod`: the one that it would make, under the Job's name, waiting or with the Job's end."""

    pod: RemotePod
    suspended: bool
    outcome: str
    """Complete, Failed or ""."""


def read_job(job: Json) -> RemoteJob:
    """Reads a batch/v1 Job."""
    metadata, suspended = job["metadata"], bool(job["spec"].get("suspend"))
    ends = (c for c in (job.get("status") or {}).get("conditions") or () if c["type"] in ("Complete", "Failed") and c["status"] == "True")
    end: Json = next(ends, {})
    outcome = end.get("type", "")
    status = {"phase": {"Complete": "Succeeded", "Failed": "Failed"}.get(outcome, "Pending"), "message": end.get("message", "")}
    pod = read_pod({"metadata": metadata, "spec": job["spec"]["template"]["spec"], "status": status})
    kueue_gate = (labels.KUEUE_GATE,) if suspended and not outcome else ()
    own_gate = () if pod.queue else (labels.GATE,)
    return RemoteJob(replace(pod, gates=kueue_gate + own_gate, stopped=False, job=pod.name), suspended, outcome)


def as_one_pod(job: RemoteJob, pods: Iterable[RemotePod], kueue_workload: KueueWorkload | None) -> RemotePod:
    """The Job and its pods as one remote pod: the last pod if its state counts, else the pod that the Job would make next.

    Where the virtual pod is not to run twice, the first pod counts. `superseded` are the pods whose ends do not count; they may go when
    `earlier_runs`, which describes them, is written into the Job's annotation.
    """
    recorded = {run.pod for run in job.pod.earlier_runs}
    in_order = sorted(pods, key=lambda pod: (pod.created_at, pod.name))
    unrecorded = [pod for pod in in_order if pod.uid not in recorded]
    reruns = job.pod.on_eviction == "rerun"
    last = current = (unrecorded[-1] if reruns else unrecorded[0]) if unrecorded else None
    if last is not None and last.ended and not job.outcome:
        if reruns and (last.eviction or (last.deleted and job.suspended)) and not is_final_eviction(last.eviction):
            current = None
        elif not last.eviction and not last.deleted:
            current = replace(last, phase="Running")
    ended = [pod for pod in unrecorded if reruns and pod.ended and (pod is not last or current is None)]
    recorded_and_kept = [pod for pod in in_order if pod.uid in recorded and labels.FINALIZER in pod.finalizers]
    return replace(
        current or job.pod,
        queue=job.pod.queue,
        earlier_runs=history.shorten((*job.pod.earlier_runs, *(_superseded_run(pod, kueue_workload) for pod in ended))),
        workload_owner=job.pod.uid,
        superseded=(*recorded_and_kept, *ended),
    )


def _superseded_run(pod: RemotePod, kueue_workload: KueueWorkload | None) -> EndedRun:
    if not pod.disruption[0]:
        message = (kueue_workload and kueue_workload.previously) or "its Job has made another pod"
        pod = replace(pod, disruption=(REPLACED_REASON, message))
    return ended_run(pod, pod.eviction or pod.disruption[0])


@dataclass
class JobStore:
    """The Jobs of one namespace, and their pods by the Job's name. What is gone is kept until it is forgotten or superseded.

    `synced`: a list of all Jobs has been read once.
    """

    synced: bool = False
    jobs: dict[str, RemoteJob] = field(default_factory=dict)
    pods: dict[str, dict[str, RemotePod]] = field(default_factory=dict)

    def put_pod(self, pod: RemotePod, kueue_workload: KueueWorkload | None) -> None:
        """Stores the pod, and at once why it is being deleted: when it has ended, Kueue may have admitted the Job again and show no
        reason any more."""
        pods = self.pods.setdefault(pod.job, {})
        before = pods.get(pod.name)
        if before is not None and before.uid == pod.uid:
            pod = with_remembered_states(pod, before)
            if before.eviction:
                pod = replace(pod, disruption=before.disruption)
        pods[pod.name] = pod
        self.put_kueue_workload(pod.job, kueue_workload)

    def put_kueue_workload(self, job: str, kueue_workload: KueueWorkload | None) -> None:
        """Stores the reason of an eviction with the pods that are being deleted because of it."""
        if kueue_workload is not None and kueue_workload.evicted:
            disruption = EVICTED_BY_KUEUE + kueue_workload.evicted, kueue_workload.evicted_message
            for name, pod in self.pods.get(job, {}).items():
                if pod.deleted and not pod.ended_by_itself and not pod.eviction:
                    self.pods[job][name] = replace(pod, disruption=disruption, stopped=True)

    def mark_gone(self, job: str, name: str) -> None:
        """The pod of that name is no longer on the cluster."""
        pods = self.pods.get(job, {})
        if name in pods:
            phase = pods[name].phase if pods[name].ended else "Failed"
            pods[name] = replace(pods[name], deleted=True, phase=phase, finalizers=())

    def drop_recorded_pods(self, job: str) -> None:
        """Forgets pods that are gone and that the Job's annotation describes."""
        if job in self.jobs:
            recorded, pods = {run.pod for run in self.jobs[job].pod.earlier_runs}, self.pods.get(job, {})
            for pod in [pod for pod in pods.values() if pod.uid in recorded and not pod.finalizers]:
                del pods[pod.name]

    def as_one_pod(self, job: str, kueue_workload: KueueWorkload | None) -> RemotePod | None:
        """The Job as one remote pod. Of a Job that was never seen it is the last pod, and None if there is no pod either."""
        pods = self.pods.get(job, {})
        if job not in self.jobs:
            return max(pods.values(), key=lambda pod: pod.created_at, default=None)
        return as_one_pod(self.jobs[job], pods.values(), kueue_workload)

    def forget(self, job: str) -> None:
        self.jobs.pop(job, None)
        self.pods.pop(job, None)
