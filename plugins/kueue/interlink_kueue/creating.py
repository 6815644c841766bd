"""Creates one run of a pod on the remote cluster, all of it or nothing.

A Pod with files, or with a queue, is created behind a scheduling gate of ours: it cannot start before its files are there, and before it
is known that Kueue holds it. For the same reason a Job is created without the label of its queue. An object that is found in this state
later is left over from a creation that was interrupted; it never ran, and `KueueBackend.inventory` removes it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from interlink_common.contract.answers import sentence
from interlink_common.errors import BackendUnavailable, Refused
from interlink_common.faultpoints import fault_point
from interlink_kueue import jobs, labels
from interlink_kueue.client import MERGE_PATCH, STRATEGIC_MERGE_PATCH, ApiRefusal, Cluster
from interlink_kueue.labels import ObjectRef
from interlink_kueue.removal import delete_run
from interlink_kueue.translate import RunObjects

Json = dict[str, Any]

POD_CREATED, FILES_CREATED = "kueue-pod-created", "kueue-files-created"
"""Fault points of this backend."""
PLURALS = {"ConfigMap": "configmaps", "Secret": "secrets", "Service": "services"}
STRICT = {"fieldValidation": "Strict"}
_OBJECT = re.compile(r"^[A-Za-z]+ ”[^”]*” is (invalid|forbidden): ")
_SERVICE_ACCOUNT_RACE = "error looking up service account"


async def create_run(cluster: Cluster, namespace: str, objects: RunObjects) -> Json:
    """Returns the Pod, or Job, as the API server has it. Idempotent. Raises Refused, BackendUnavailable."""
    return await (_create_job if objects.as_job else _create_pod)(cluster, namespace, objects)


async def _create_pod(cluster: Cluster, namespace: str, objects: RunObjects) -> Json:
    pods = labels.pods_path(namespace)
    try:
        pod = await cluster.call("POST", pods, query=STRICT, body=_in_namespace(objects.pod, namespace))
    except ApiRefusal as error:
        if not error.is_already_there:
            raise creation_error(error, namespace) from error
        pod = await _read_existing(cluster, pods, objects)
    fault_point(POD_CREATED)
    if labels.GATE not in scheduling_gates(pod):
        return pod
    queue = objects.pod["metadata"]["labels"].get(labels.QUEUE_NAME)
    try:
        if queue and labels.KUEUE_GATE not in scheduling_gates(pod):
            raise Refused(
                f"queue {queue} cannot be used: Kueue does not manage pods in the remote namespace {namespace},"
                " so the pod would run at once; its pod integration and webhook must cover that namespace"
            )
        await create_owned_objects(cluster, namespace, objects, pod)
        fault_point(FILES_CREATED)
        return await remove_gate(cluster, pod)
    except Refused:
        await delete_run(cluster, _ref(cluster, pod))
        raise


async def _create_job(cluster: Cluster, namespace: str, objects: RunObjects) -> Json:
    job, path = jobs.job_object(_in_namespace(objects.pod, namespace)), labels.jobs_path(namespace)
    try:
        await cluster.call("POST", labels.pods_path(namespace), query={**STRICT, "dryRun": "All"}, body=jobs.pod_object(job))
        created = await cluster.call("POST", path, query=STRICT, body=job)
    except ApiRefusal as error:
        if not error.is_already_there:
            raise creation_error(error, namespace) from error
        created = await _read_existing(cluster, path, objects)
    fault_point(POD_CREATED)
    if labels.QUEUE_NAME in created["metadata"]["labels"]:
        return created
    ref = ObjectRef(cluster.name, namespace, job["metadata"]["name"], is_job=True)
    try:
        await create_owned_objects(cluster, namespace, objects, created)
        fault_point(FILES_CREATED)
        return await _patch_to_complete(cluster, ref, {"metadata": {"labels": jobs.queue_labels(objects.pod)}}, MERGE_PATCH)
    except Refused:
        await delete_run(cluster, ref)
        raise


def scheduling_gates(pod: Json) -> set[str]:
    """Names of the gates of a v1.Pod."""
    return {gate["name"] for gate in pod["spec"].get("schedulingGates") or ()}


async def _read_existing(cluster: Cluster, path: str, objects: RunObjects) -> Json:
    """The Pod or Job of this run that an earlier call has created."""
    name = objects.pod["metadata"]["name"]
    try:
        existing = await cluster.call("GET", f"{path}/{name}")
    except ApiRefusal as error:
        raise BackendUnavailable(f"the remote pod {name} exists, and cannot be read: {error}") from error
    if existing["metadata"].get("deletionTimestamp"):
        raise BackendUnavailable(f"the remote pod {name} of an earlier attempt is still being deleted", retry_after_seconds=1)
    wanted = objects.pod["metadata"]["labels"]
    if any(existing["metadata"].get("labels", {}).get(key) != wanted[key] for key in (labels.INSTANCE, labels.POD_UID)):
        raise Refused(f"the remote name {name} belongs to a pod of somebody else")
    return existing


async def create_owned_objects(cluster: Cluster, namespace: str, objects: RunObjects, owner: Json) -> None:
    """Creates ConfigMaps, Secrets and Services, which go when `owner` goes. Idempotent. Raises Refused, BackendUnavailable."""
    await asyncio.gather(*(_create_owned_object(cluster, namespace, owned, owner) for owned in objects.owned))


async def _create_owned_object(cluster: Cluster, namespace: str, owned: Json, owner: Json) -> None:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    body = {**owned, "metadata": {**owned["metadata"], "namespace": namespace, "ownerReferences": [reference]}}
    path = f"/api/v1/namespaces/{namespace}/{PLURALS[owned['kind']]}"
    try:
        await cluster.call("POST", path, query=STRICT, body=body)
    except ApiRefusal as error:
        if not error.is_already_there:
            raise creation_error(error, namespace) from error
        if owned["kind"] == "Service":
            await _add_owner_to_service(cluster, f"{path}/{owned['metadata']['name']}", owned, reference)


async def _add_owner_to_service(cluster: Cluster, path: str, wanted: Json, reference: Json) -> None:
    """The pods of one subdomain share its Service. Raises Refused if the Service that is there is not ours."""
    name = wanted["metadata"]["name"]
    try:
        existing = await cluster.call("GET", path)
        if any((existing["metadata"].get("labels") or {}).get(key) != value for key, value in wanted["metadata"]["labels"].items()):
            raise Refused(f"spec.subdomain {name}: the remote namespace has another Service of that name; choose another subdomain")
        if existing["metadata"].get("deletionTimestamp"):
            raise BackendUnavailable(f"the Service {name} of earlier pods is still being deleted", retry_after_seconds=1)
        await cluster.call("PATCH", path, body={"metadata": {"ownerReferences": [reference]}}, content_type=STRATEGIC_MERGE_PATCH)
    except ApiRefusal as error:
        raise BackendUnavailable(f"the Service {name} cannot be shared: {error}", retry_after_seconds=1) from error


def _in_namespace(pod: Json, namespace: str) -> Json:
    return {**pod, "metadata": {**pod["metadata"], "namespace": namespace}}


def _ref(cluster: Cluster, pod: Json) -> ObjectRef:
    return ObjectRef(cluster.name, pod["metadata"]["namespace"], pod["metadata"]["name"])


async def remove_gate(cluster: Cluster, pod: Json) -> Json:
    """Removes the plugin's scheduling gate: the pod may start."""
    patch = {"spec": {"schedulingGates": [{"name": labels.GATE, "$patch": "delete"}]}}
    return await _patch_to_complete(cluster, _ref(cluster, pod), patch, STRATEGIC_MERGE_PATCH)


async def _patch_to_complete(cluster: Cluster, ref: ObjectRef, patch: Json, content_type: str) -> Json:
    """The last call of a creation."""
    try:
        return await cluster.call("PATCH", ref.path, body=patch, content_type=content_type)
    except ApiRefusal as error:
        raise creation_error(error, ref.namespace) from error


async def annotate(cluster: Cluster, ref: ObjectRef, annotations: dict[str, str]) -> None:
    """Sets annotations. An object that is not there is no error. Raises BackendUnavailable."""
    try:
        await cluster.call("PATCH", ref.path, body={"metadata": {"annotations": annotations}}, content_type=MERGE_PATCH)
    except ApiRefusal as error:
        if not error.is_missing:
            raise BackendUnavailable(f"{ref.path} cannot be annotated: {error}") from error


def creation_error(error: ApiRefusal, namespace: str) -> Refused | BackendUnavailable:
    """What an admission error means for the pod: Pod Security, quota, webhooks, unknown fields, as one sentence for the pod's author.

    What the operator must mend (rights, a missing namespace) is not the pod's fault, so the pod waits.
    """
    message = error.message
    if error.is_denied and ("cannot create resource" in message or "cannot patch resource" in message or error.status == 401):
        return BackendUnavailable(f"the plugin lacks a right on the remote cluster: {message}")
    if error.is_missing and "namespaces" in message:
        return BackendUnavailable(f"the remote namespace {namespace} does not exist")
    if error.status == 403 and ("being terminated" in message or _SERVICE_ACCOUNT_RACE in message):
        return BackendUnavailable(f"the remote namespace {namespace} cannot take pods now: {message}")
    if error.status == 403 and "exceeded quota" in message:
        return BackendUnavailable(f"the quota of the remote namespace {namespace} is full: {_shorten(message)}", retry_after_seconds=10)
    return Refused(sentence(f"the remote cluster does not accept the pod: {_shorten(message)}"))


def _shorten(message: str) -> str:
    """Without the object's name, which only the plugin knows, and without the name of the API server's own error class."""
    return _OBJECT.sub("", message).removeprefix("strict decoding error: ")
