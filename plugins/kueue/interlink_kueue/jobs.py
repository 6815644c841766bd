"""A suspended Job as what carries a pod: Kueue starts it, stops it and starts it again, each time with a new pod of the Job. Pure.

How the pod ended is the Job's word, Complete or Failed: until then an ended pod may be one that Kueue has taken away, and the Job's next
pod follows. Ends that count for nothing are kept in the Job's annotation `labels.PAST`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from interlink_kueue import history, labels
from interlink_kueue.history import Past
from interlink_kueue.kueue import Admission, is_final
from interlink_kueue.remotepod import EVICTED_BY_KUEUE, RemotePod, end_of, ended_by_itself, eviction, read_pod, remembering

Json = dict[str, Any]

REPLACED = "Replaced"
"""Reason of a pod's end that nobody saw here: the plugin was away, and Kueue has admitted the Job again."""


def job_object(pod: Json) -> Json:
    """The Job for a remote pod. Kueue does not look at it before it has its queue's label; see `queue_labels`."""
    metadata = pod["metadata"]
    plain = {name: value for name, value in metadata["labels"].items() if not name.startswith(labels.KUEUE)}
    told = {name: value for name, value in metadata["annotations"].items() if name != labels.PAST}
    spec = {name: value for name, value in pod["spec"].items() if name != "schedulingGates"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata, "labels": {**plain, labels.ROLE: "job"}, "finalizers": []},
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": {"metadata": {"labels": plain, "annotations": told, "finalizers": metadata["finalizers"]}, "spec": spec},
        },
    }  # fmt: skip


def pod_object(job: Json) -> Json:
    """A pod as the Job would make it, to ask whether it would be admitted: a Job that can't make its pod only waits."""
    template = job["spec"]["template"]
    metadata = {**template["metadata"], "generateName": f"{job['metadata']['name']}-", "finalizers": []}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def queue_labels(pod: Json) -> dict[str, str]:
    """With these Kueue takes the Job up: all of it is there then."""
    return {name: value for name, value in pod["metadata"]["labels"].items() if name.startswith(labels.KUEUE)}


@dataclass(frozen=True, slots=True)
class RemoteJob:
    """What counts of a batch/v1 Job. `pod`: the one that it would make, under the Job's name, waiting or with the Job's end."""

    pod: RemotePod
    suspended: bool
    outcome: str
    """Complete, Failed or ""."""


def read_job(job: Json) -> RemoteJob:
    metadata, suspended = job["metadata"], bool(job["spec"].get("suspend"))
    ends = (one for one in (job.get("status") or {}).get("conditions") or () if one["type"] in ("Complete", "Failed"))
    end: Json = next((one for one in ends if one["status"] == "True"), {})
    outcome = end.get("type", "")
    status = {"phase": {"Complete": "Succeeded", "Failed": "Failed"}.get(outcome, "Pending"), "message": end.get("message", "")}
    pod = read_pod({"metadata": metadata, "spec": job["spec"]["template"]["spec"], "status": status})
    held = (labels.KUEUE_GATE,) if suspended and not outcome else ()
    incomplete = () if pod.queue else (labels.GATE,)
    return RemoteJob(replace(pod, gates=held + incomplete, succumbed=False, job=pod.name), suspended, outcome)


def carried(job: RemoteJob, pods: Iterable[RemotePod], admission: Admission | None) -> RemotePod:
    """The Job with its pods as one remote pod: the last, if that counts, else one that waits. Where the pod is not to run twice, the first.

    `over` are the pods whose ends count for nothing: they may go when `past`, which tells of them, is on the Job.
    """
    counted = {one.pod for one in job.pod.past}
    everyone = sorted(pods, key=lambda pod: (pod.created_at, pod.name))
    fresh = [pod for pod in everyone if pod.uid not in counted]
    again = job.pod.on_eviction == "rerun"
    last = current = (fresh[-1] if again else fresh[0]) if fresh else None
    if last is not None and last.ended and not job.outcome:
        evicted = eviction(last)
        if again and (evicted or (last.deleted and job.suspended)) and not is_final(evicted):
            current = None
        elif not evicted and not last.deleted:
            current = replace(last, phase="Running")
    over = [pod for pod in fresh if again and pod.ended and (pod is not last or current is None)]
    left = [pod for pod in everyone if pod.uid in counted and labels.FINALIZER in pod.finalizers]
    past = history.folded((*job.pod.past, *(_end(pod, admission) for pod in over)))
    return replace(current or job.pod, queue=job.pod.queue, past=past, owner=job.pod.uid, over=(*left, *over))


def _end(pod: RemotePod, admission: Admission | None) -> Past:
    if not pod.disruption[0]:
        pod = replace(pod, disruption=(REPLACED, (admission and admission.previously) or "its Job has made another pod"))
    return end_of(pod, eviction(pod) or pod.disruption[0])


@dataclass
class Book:
    """The Jobs of one namespace, and their pods by the Job's name. What is gone is kept until it is forgotten or counts for nothing.

    `synced`: the list of Jobs was complete once.
    """

    synced: bool = False
    jobs: dict[str, RemoteJob] = field(default_factory=dict)
    pods: dict[str, dict[str, RemotePod]] = field(default_factory=dict)

    def put_pod(self, pod: RemotePod, admission: Admission | None) -> None:
        """Remembers why it is deleted: by the time it has ended, Kueue may have admitted its Job again and say nothing of that any more."""
        pods = self.pods.setdefault(pod.job, {})
        before = pods.get(pod.name)
        if before is not None and before.uid == pod.uid:
            pod = remembering(pod, before)
            if eviction(before):
                pod = replace(pod, disruption=before.disruption)
        pods[pod.name] = pod
        self.put_admission(pod.job, admission)

    def put_admission(self, job: str, admission: Admission | None) -> None:
        if admission is not None and admission.evicted:
            for name, pod in self.pods.get(job, {}).items():
                if pod.deleted and not ended_by_itself(pod) and not eviction(pod):
                    told = EVICTED_BY_KUEUE + admission.evicted, admission.evicted_message
                    self.pods[job][name] = replace(pod, disruption=told, succumbed=True)

    def lose_pod(self, job: str, name: str) -> None:
        pods = self.pods.get(job, {})
        if name in pods:
            ended = pods[name].phase if pods[name].ended else "Failed"
            pods[name] = replace(pods[name], deleted=True, phase=ended, finalizers=())

    def carried(self, job: str, admission: Admission | None) -> RemotePod | None:
        """The Job as one remote pod; of a Job that was never seen, its last pod. None: there is nothing of it."""
        pods = self.pods.get(job, {})
        if job not in self.jobs:
            return max(pods.values(), key=lambda pod: pod.created_at, default=None)
        counted = {one.pod for one in self.jobs[job].pod.past}
        for pod in [pod for pod in pods.values() if pod.uid in counted and not pod.finalizers]:
            del pods[pod.name]
        return carried(self.jobs[job], pods.values(), admission)

    def forget(self, job: str) -> None:
        self.jobs.pop(job, None)
        self.pods.pop(job, None)
