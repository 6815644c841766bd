"""Creates one run of a pod, all of it or nothing.

A pod with files, or with a queue, is created with our scheduling gate, so that it can't start before its files are there and before it
is known that Kueue holds it. A Job is created without its queue's label, for the same. What is found so later is something whose creation
was cut off: it is undone (`Backend.inventory`).
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

from interlink_common.contract.sentences import sentence
from interlink_common.errors import BackendUnavailable, Refused
from interlink_common.faultpoints import fault_point
from interlink_kueue import jobs, labels
from interlink_kueue.client import MERGE_PATCH, ApiRefusal, Cluster
from interlink_kueue.labels import Place
from interlink_kueue.translate import Objects

Json = dict[str, Any]

POD_CREATED, FILES_CREATED = "kueue-pod-created", "kueue-files-created"
"""Fault points of this backend."""
PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services"}
STRICT = {"fieldValidation": "Strict"}
STRATEGIC = "application/strategic-merge-patch+json"
_OBJECT = re.compile(r"^[A-Za-z]+ ”[^”]*” is (invalid|forbidden): ")
_SERVICE_ACCOUNT_RACE = "error looking up service account"


async def create(cluster: Cluster, namespace: str, made: Objects) -> Json:
    """The Pod, or Job, as the API server has it. Creating again what is there is no error. Raises Refused, BackendUnavailable."""
    return await (_create_job if made.as_job else _create_pod)(cluster, namespace, made)


async def _create_pod(cluster: Cluster, namespace: str, made: Objects) -> Json:
    pods = labels.pods_path(namespace)
    try:
        pod = await cluster.call("POST", pods, query=STRICT, body=_placed(made.pod, namespace))
    except ApiRefusal as error:
        if not (error.is_conflict and error.reason == "AlreadyExists"):
            raise explained(error, namespace) from error
        pod = await _existing(cluster, pods, made)
    fault_point(POD_CREATED)
    if labels.GATE not in gates(pod):
        return pod
    queue = made.pod["metadata"]["labels"].get(labels.QUEUE_NAME)
    try:
        if queue and labels.KUEUE_GATE not in gates(pod):
            raise Refused(
                f"queue {queue} can not be used: Kueue does not manage pods in the remote namespace {namespace},"
                " so the pod would run at once; its pod integration and webhook must cover that namespace"
            )
        await create_others(cluster, namespace, made, pod)
        fault_point(FILES_CREATED)
        return await ungate(cluster, pod)
    except Refused:
        await remove(cluster, _place(cluster, pod))
        raise


async def _create_job(cluster: Cluster, namespace: str, made: Objects) -> Json:
    job, path = jobs.job_object(_placed(made.pod, namespace)), labels.jobs_path(namespace)
    try:
        await cluster.call("POST", labels.pods_path(namespace), query={**STRICT, "dryRun": "All"}, body=jobs.pod_object(job))
        created = await cluster.call("POST", path, query=STRICT, body=job)
    except ApiRefusal as error:
        if not (error.is_conflict and error.reason == "AlreadyExists"):
            raise explained(error, namespace) from error
        created = await _existing(cluster, path, made)
    fault_point(POD_CREATED)
    if labels.QUEUE_NAME in created["metadata"]["labels"]:
        return created
    place = Place(cluster.name, namespace, job["metadata"]["name"], is_job=True)
    try:
        await create_others(cluster, namespace, made, created)
        fault_point(FILES_CREATED)
        return await _complete(cluster, place, {"metadata": {"labels": jobs.queue_labels(made.pod)}}, MERGE_PATCH)
    except Refused:
        await remove(cluster, place)
        raise


def gates(pod: Json) -> set[str]:
    return {gate["name"] for gate in pod["spec"].get("schedulingGates") or ()}


async def _existing(cluster: Cluster, path: str, made: Objects) -> Json:
    """A run that an earlier call has created."""
    name = made.pod["metadata"]["name"]
    try:
        pod = await cluster.call("GET", f"{path}/{name}")
    except ApiRefusal as error:
        raise BackendUnavailable(f"the remote pod {name} is there and is not: {error}") from error
    if pod["metadata"].get("deletionTimestamp"):
        raise BackendUnavailable(f"the remote pod {name} of an earlier attempt is still being deleted", retry_after_seconds=1)
    wanted = made.pod["metadata"]["labels"]
    if any(pod["metadata"].get("labels", {}).get(key) != wanted[key] for key in (labels.INSTANCE, labels.POD_UID)):
        raise Refused(f"the remote name {name} is taken by a pod that is not ours")
    return pod


async def create_others(cluster: Cluster, namespace: str, made: Objects, pod: Json) -> None:
    """What goes with a pod that is there. Creating again what is there is no error. Raises Refused, BackendUnavailable."""
    await asyncio.gather(*(_create_other(cluster, namespace, other, pod) for other in made.others))


async def _create_other(cluster: Cluster, namespace: str, other: Json, pod: Json) -> None:
    """An object that the pod owns, so that it goes when the pod goes."""
    owner = {"apiVersion": pod["apiVersion"], "kind": pod["kind"], "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
    body = {**other, "metadata": {**other["metadata"], "namespace": namespace, "ownerReferences": [owner]}}
    path = f"/api/v1/namespaces/{namespace}/{PLURALS[other['kind']]}"
    try:
        await cluster.call("POST", path, query=STRICT, body=body)
    except ApiRefusal as error:
        if not (error.is_conflict and error.reason == "AlreadyExists"):
            raise explained(error, namespace) from error
        if other["kind"] == "Service":
            await _share(cluster, f"{path}/{other['metadata']['name']}", other, owner)


async def _share(cluster: Cluster, path: str, wanted: Json, owner: Json) -> None:
    """The pod becomes one more owner of a Service that is there. Raises Refused if it is not ours."""
    name = wanted["metadata"]["name"]
    try:
        found = await cluster.call("GET", path)
        if any((found["metadata"].get("labels") or {}).get(key) != value for key, value in wanted["metadata"]["labels"].items()):
            raise Refused(f"spec.subdomain {name}: the remote namespace has another Service of that name; choose another subdomain")
        if found["metadata"].get("deletionTimestamp"):
            raise BackendUnavailable(f"the Service {name} of earlier pods is still being deleted", retry_after_seconds=1)
        await cluster.call("PATCH", path, body={"metadata": {"ownerReferences": [owner]}}, content_type=STRATEGIC)
    except ApiRefusal as error:
        raise BackendUnavailable(f"the Service {name} can not be shared: {error}", retry_after_seconds=1) from error


def _placed(pod: Json, namespace: str) -> Json:
    return {**pod, "metadata": {**pod["metadata"], "namespace": namespace}}


def _place(cluster: Cluster, pod: Json) -> Place:
    return Place(cluster.name, pod["metadata"]["namespace"], pod["metadata"]["name"])


async def ungate(cluster: Cluster, pod: Json) -> Json:
    """Lets the pod go."""
    patch = {"spec": {"schedulingGates": [{"name": labels.GATE, "$patch": "delete"}]}}
    return await _complete(cluster, _place(cluster, pod), patch, STRATEGIC)


async def _complete(cluster: Cluster, place: Place, patch: Json, content_type: str) -> Json:
    """From here on it is complete."""
    try:
        return await cluster.call("PATCH", place.path, body=patch, content_type=content_type)
    except ApiRefusal as error:
        raise explained(error, place.namespace) from error


async def remove(cluster: Cluster, place: Place, grace_seconds: int = 0) -> bool:
    """Takes our finalizer away and asks for the deletion; does not wait. Tells whether something is still there, being ended. Idempotent.
    Raises BackendUnavailable."""
    if not place.is_job:
        await release(cluster, place.path)
        return await delete(cluster, place.path, grace_seconds)
    await delete(cluster, place.path, propagation="Background")  # first, so that it makes no more pods
    stays = False
    async for pods, _ in cluster.listed(labels.pods_path(place.namespace), {"labelSelector": f"{labels.JOB_NAME}={place.name}"}):
        for pod in pods:
            stays |= await remove(cluster, replace(place, name=pod["metadata"]["name"], is_job=False), grace_seconds)
    return stays


async def annotate(cluster: Cluster, place: Place, annotations: dict[str, str]) -> None:
    """What is not there is no error. Raises BackendUnavailable."""
    try:
        await cluster.call("PATCH", place.path, body={"metadata": {"annotations": annotations}}, content_type=MERGE_PATCH)
    except ApiRefusal as error:
        if not error.is_missing:
            raise BackendUnavailable(f"{place.path} can not be annotated: {error}") from error


async def release(cluster: Cluster, path: str) -> None:
    """Takes our finalizer away, and nobody else's."""
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [labels.FINALIZER]}}
    try:
        await cluster.call("PATCH", path, body=patch, content_type=STRATEGIC)
    except ApiRefusal as error:
        if not error.is_missing:
            raise BackendUnavailable(f"the remote pod can not be released: {error}") from error


async def delete(cluster: Cluster, path: str, grace_seconds: int | None = None, propagation: str = "") -> bool:
    """Asks for a deletion; what is not there is no error. Tells whether it is still there, being ended."""
    body: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if propagation:
        body["propagationPolicy"] = propagation
    if grace_seconds is not None:
        body["gracePeriodSeconds"] = grace_seconds
    try:
        answer = await cluster.call("DELETE", path, body=body)
    except ApiRefusal as error:
        if not error.is_missing:
            raise BackendUnavailable(f"{path} can not be deleted: {error}") from error
        return False
    return "deletionTimestamp" in (answer.get("metadata") or {})


def explained(error: ApiRefusal, namespace: str) -> Refused | BackendUnavailable:
    """An admission error as one sentence for whoever made the pod: Pod Security, quota, webhooks, unknown fields.

    What the operator must mend (rights, a namespace that is missing) is not the pod's fault, so the pod waits.
    """
    words = error.words
    if error.is_denied and ("cannot create resource" in words or "cannot patch resource" in words or error.status == 401):
        return BackendUnavailable(f"the plugin lacks a right on the remote cluster: {words}")
    if error.is_missing and "namespaces" in words:
        return BackendUnavailable(f"the remote namespace {namespace} does not exist")
    if error.status == 403 and ("being terminated" in words or _SERVICE_ACCOUNT_RACE in words):
        return BackendUnavailable(f"the remote namespace {namespace} can not take pods now: {words}")
    if error.status == 403 and "exceeded quota" in words:
        return BackendUnavailable(f"the quota of the remote namespace {namespace} is full: {_short(words)}", retry_after_seconds=10)
    return Refused(sentence(f"the remote cluster does not accept the pod: {_short(words)}"))


def _short(words: str) -> str:
    """Without the object's name, which only we know, and without the name of the API server's own error class."""
    return _OBJECT.sub("", words).removeprefix("strict decoding error: ")
