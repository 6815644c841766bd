"""Finds a pod again without writing anything down: its UID follows from its namespace and name.

A plugin never creates a deleted UID again, so a name has a list of UIDs: `run` takes the first that the plugin accepts, the
other commands ask for all of them at once and take the one that lives. A manifest that has a metadata.uid (kubectl get pod
-o yaml) means exactly that pod.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from interlink_common.errors import BackendUnavailable, BadRequest, NotFound
from interlink_common.virtualkubelet.bodies import NodeOptions, VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from interlink_common.virtualkubelet.manifests import Manifests

UIDS_PER_NAME = 256
"""A deleted one is free again when the plugin has forgotten it (an hour)."""
_NAMESPACE = uuid.UUID("6f1d0a52-3c0b-4c52-9a4e-0e3b7d6a9b11")


def uids(manifests: Manifests) -> list[str]:
    """The UIDs that the pod may have, in the order in which `run` tries them. metadata.namespace must be there."""
    metadata = manifests.pod["metadata"]
    if metadata.get("uid"):
        return [str(metadata["uid"])]
    return [str(uuid.uuid5(_NAMESPACE, f"{metadata['namespace']}/{metadata['name']}/{number}")) for number in range(UIDS_PER_NAME)]


def admitted(manifests: Manifests, options: NodeOptions, *, now: float) -> VirtualPod:
    """The pod on the virtual node, ready for create, with its first UID.

    Raises BadRequest for a malformed pod, Refused for one that the virtual kubelet would never send.
    """
    try:
        pod = with_uid(VirtualPod.admit(manifests, options, now=now), uids(manifests)[0])
        pod.create_body()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        name = manifests.pod["metadata"]["name"]
        raise BadRequest(f"Pod {name} is malformed ({error}): a field does not have the type that Kubernetes requires.") from None
    return pod


def with_uid(pod: VirtualPod, uid: str) -> VirtualPod:
    """The same pod with another UID, also in its environment (fieldRef metadata.uid)."""
    return VirtualPod(json.loads(json.dumps(pod.document).replace(pod.uid, uid)), pod.manifests, pod.options)


def unresolved(manifests: Manifests, *, now: float) -> VirtualPod:
    """The pod for calls other than create, which need none of its ConfigMaps and Secrets."""
    options = NodeOptions(skip_downward_api_resolution=True)
    return with_uid(VirtualPod.admit(manifests, options, now=now), uids(manifests)[0])


async def find(client: PluginClient, pod: VirtualPod) -> VirtualPod | None:
    """The pod as the plugin knows it, with its JID; None if it does not. Raises BackendUnavailable if the plugin answers with an error."""
    candidates = uids(pod.manifests)
    answer = await client.send("GET", "/status", [_question(pod, uid) for uid in candidates])
    if answer.status_code != 200:
        raise BackendUnavailable(f"The plugin answered {answer.status_code} to a status request: {answer.text}")
    # A UID that was never created is answered too, but only a pod on record has a JID.
    try:
        entries = {entry["UID"]: entry for entry in answer.json() or [] if entry["JID"]}
    except (ValueError, LookupError, TypeError):
        raise BackendUnavailable("What answers there is no interLink plugin; is --connect right?") from None
    uid = next((uid for uid in reversed(candidates) if uid in entries), None)
    if uid is None:
        return None
    found = with_uid(pod, uid)
    found.document["metadata"].update(name=entries[uid]["name"], namespace=entries[uid]["namespace"])
    found.created(uid, str(entries[uid]["JID"]))
    return found


async def find_existing(client: PluginClient, pod: VirtualPod) -> VirtualPod:
    """Like `find`, but raises NotFound."""
    found = await find(client, pod)
    if found is None:
        raise NotFound(f"The plugin knows no pod {pod.namespace}/{pod.name}; it was not created here, or it was deleted.")
    return found


def _question(pod: VirtualPod, uid: str) -> dict[str, Any]:
    spec = pod.document["spec"]
    names = {key: [{"name": container["name"]} for container in spec.get(key) or []] for key in ("initContainers", "containers")}
    return {"metadata": {"name": pod.name, "namespace": pod.namespace, "uid": uid}, "spec": names}
