"""A pod as the virtual kubelet holds it, and the four request bodies that interLink makes of it.

`VirtualPod.admit` does what kube-apiserver and the virtual kubelet do before a plugin hears of a pod; the `*_body` methods
then return exactly what arrives there, `null` slices and losses included. Compared with recorded requests in tests/wire.
"""

from __future__ import annotations

import time
import uuid
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any

from interlink_common.virtualkubelet.admission import admitted_spec, containers_of
from interlink_common.virtualkubelet.environment import flattened, half_resolved
from interlink_common.virtualkubelet.manifests import Manifests
from interlink_common.virtualkubelet.volumes import ROOT_CA, as_projected, container_data, volume_objects

Document = dict[str, Any]

NO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time: how a log request says that sinceTime is not set."""

JOB_ID = "JobID"
"""The annotation in which the virtual kubelet keeps the JID; a pod without it is created again after its restart."""

_JOB_CONFIG: Document = {
    "SingularityHubProxy": {"server": "", "master_token": "", "cache_validity_seconds": 0},
    "ApptainerOptions": {
        "executable": "",
        "fakeroot": False,
        "containall": False,
        "fuseMode": "",
        "noInit": False,
        "noHome": False,
        "noPrivs": False,
        "nvidiaSupport": False,
        "cleanenv": False,
        "unsquash": False,
    },
    "Volumes": {
        "scratch_area": "",
        "apptainer_cachedir": "",
        "image_dir": "",
        "additional_directories_in_path": None,
        "fuse_sleep_seconds": 0,
    },
}
NOT_OFFLOADED = {
    "containers": "interlink.eu/disable-offload-containers",
    "initContainers": "interlink.eu/disable-offload-init-containers",
}
"""The annotations that name what stays in the cluster, by the list of the spec."""


@dataclass(frozen=True)
class NodeOptions:
    """How the virtual node is set up. `skip_downward_api_resolution` is VK's SkipDownwardAPIResolution.

    With `service_account`, pods get the kube-api-access volume; `token` and `ca_certificate` are what is in it. `seed` fixes
    the order in which Go's maps come out.
    """

    node_name: str = "virtual-node"
    node_ip: str = "127.0.0.1"
    skip_downward_api_resolution: bool = False
    service_account: bool = False
    token: str = "not-a-token"  # noqa: S105
    ca_certificate: str = "not-a-certificate\n"
    seed: int | None = None


def rfc3339(unix_seconds: float) -> str:
    """A time as Kubernetes writes it: whole seconds, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_seconds))


@dataclass
class VirtualPod:
    """A pod on the virtual node. `document` is what the virtual kubelet keeps: metadata, spec, and the status it makes of answers."""

    document: Document
    manifests: Manifests
    options: NodeOptions = field(default_factory=NodeOptions)

    @classmethod
    def admit(cls, manifests: Manifests, options: NodeOptions | None = None, *, now: float, namespace: str = "default") -> VirtualPod:
        """Accepts and binds the pod. `now` is in unix seconds. Raises Refused if the virtual kubelet would never send it."""
        options = options or NodeOptions()
        random = Random(options.seed)  # noqa: S311  a test's order, no secret
        written = manifests.pod.get("metadata") or {}
        metadata: Document = {
            "name": written["name"],
            "namespace": written.get("namespace") or namespace,
            "uid": str(_uuid4(random)),
            "resourceVersion": str(random.randrange(100, 10_000)),
            "generation": 1,
            "creationTimestamp": rfc3339(now),
            **{key: deepcopy(written[key]) for key in ("labels", "annotations", "ownerReferences", "finalizers") if written.get(key)},
            "managedFields": [_managed_fields(rfc3339(now))],
        }
        suffix = "".join(random.choices("bcdfghjklmnpqrstvwxz2456789", k=5))
        spec = admitted_spec(
            manifests.pod.get("spec") or {},
            node_name=options.node_name,
            token_volume=f"kube-api-access-{suffix}" if options.service_account else None,
        )
        if ROOT_CA not in manifests.config_maps:
            root_ca: Document = {"metadata": {"name": ROOT_CA}, "data": {"ca.crt": options.ca_certificate}}
            manifests = Manifests(manifests.pod, {**manifests.config_maps, ROOT_CA: root_ca}, manifests.secrets)
        pod = cls({"metadata": metadata, "spec": spec, "status": {}}, manifests, options)
        if not options.skip_downward_api_resolution:
            for container in containers_of(spec):
                entries = flattened(container, pod.document, manifests, random)
                container.pop("envFrom", None)
                container.pop("env", None)
                container.update({"env": entries} if entries else {})
        pod.document["status"] = _first_status(spec, options.node_ip, rfc3339(now))
        return pod

    @property
    def uid(self) -> str:
        return str(self.document["metadata"]["uid"])

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.document["metadata"]["namespace"])

    @property
    def status(self) -> Document:
        """v1.PodStatus as the virtual kubelet would show it."""
        status: Document = self.document["status"]
        return status

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", "Pending"))

    @property
    def ended(self) -> bool:
        """Succeeded or Failed: the virtual kubelet never asks for the pod again."""
        return self.phase in ("Succeeded", "Failed")

    def container_status(self, name: str) -> Document:
        """The v1.ContainerStatus of that container, init or main. Raises KeyError if there is none (yet)."""
        for key in ("initContainerStatuses", "containerStatuses"):
            for status in self.status.get(key) or []:
                if status["name"] == name:
                    return dict(status)
        raise KeyError(name)

    def create_body(self) -> Document:
        """POST /create. Raises Refused if a ConfigMap or Secret that a volume needs is missing."""
        random = Random(self.options.seed)  # noqa: S311
        pod = deepcopy(self.document)
        spec = pod["spec"]
        for key, annotation in NOT_OFFLOADED.items():
            kept = {name.strip() for name in (pod["metadata"].get("annotations") or {}).get(annotation, "").split(",")}
            spec[key] = [container for container in spec.get(key) or [] if container.get("name") not in kept] or None
        if spec["initContainers"] is None:
            del spec["initContainers"]
        if spec.get("volumes"):
            spec["volumes"] = [as_projected(volume) for volume in spec["volumes"]]
        objects = volume_objects(pod, self.manifests, self.options.token)
        if self.options.skip_downward_api_resolution:
            for container in containers_of(spec):
                entries = half_resolved(container, pod, self.manifests, random)
                container.pop("envFrom", None)
                container.update({"env": entries} if entries else {})
        data = [container_data(container, pod, objects) for container in containers_of(spec)]
        return {"pod": pod, "container": data or None, "jobConfig": deepcopy(_JOB_CONFIG)}

    def status_body(self) -> list[Document]:
        """GET /status: always a list of one."""
        return [deepcopy(self.document)]

    def delete_body(self, *, now: float, grace_seconds: int | None = None) -> Document:
        """POST /delete. Only a pod that has a running container carries a deletionTimestamp and its grace."""
        pod = deepcopy(self.document)
        status = pod["status"]
        statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        if any((entry.get("state") or {}).get("running") for entry in statuses):
            grace = pod["spec"]["terminationGracePeriodSeconds"] if grace_seconds is None else grace_seconds
            pod["metadata"]["generation"] = 2
            pod["metadata"]["deletionTimestamp"] = rfc3339(now + grace)
            pod["metadata"]["deletionGracePeriodSeconds"] = grace
        status["reason"] = "VKProviderPodDeleted"
        gone = {
            "exitCode": 0,
            "reason": "VKProviderPodContainerDeleted",
            "message": "VK provider terminated container upon deletion",
            "startedAt": None,
            "finishedAt": rfc3339(now),
        }
        for entry in statuses:
            entry.update({"ready": False, "state": {"terminated": dict(gone)}})
        return pod

    def log_body(self, container: str, **options: Any) -> Document:
        """GET /getLogs. Options as on the wire: Tail, Bytes, Timestamps, Follow, Previous, SinceSeconds, SinceTime."""
        unset = {"Tail": 0, "Bytes": 0, "Timestamps": False, "Follow": False, "Previous": False, "SinceSeconds": 0, "SinceTime": NO_TIME}
        if unknown := set(options) - set(unset):
            raise TypeError(f"no such log option: {', '.join(sorted(unknown))}")
        return {
            "Namespace": self.namespace,
            "PodUID": self.uid,
            "PodName": self.name,
            "ContainerName": container,
            "Opts": {**unset, **options},
        }

    def created(self, pod_uid: str, jid: str) -> None:
        """Takes the answer to create: the JID becomes an annotation, if the UID is this pod's."""
        if pod_uid == self.uid:
            self.document["metadata"].setdefault("annotations", {})[JOB_ID] = jid

    def create_failed(self, message: str, *, now: float) -> None:
        """Marks the pod Failed for good, as the virtual kubelet does after any answer to create but 200."""
        state = {"terminated": {"exitCode": 1, "reason": "ProviderFailed", "message": message, "startedAt": None, "finishedAt": None}}
        spec = self.document["spec"]
        self.document["status"] = {
            "phase": "Failed",
            "conditions": _conditions(initialized=False, scheduled=False),
            "message": message,
            "reason": "ProviderFailed",
            "hostIP": self.options.node_ip,
            "podIP": self.options.node_ip,
            "startTime": rfc3339(now),
        }
        for key, source in (("initContainerStatuses", "initContainers"), ("containerStatuses", "containers")):
            if spec.get(source):
                self.document["status"][key] = [_container_status(container, state) for container in spec[source]]


def _first_status(spec: Document, node_ip: str, now: str) -> Document:
    submitted = {
        "waiting": {
            "reason": "Remote pod submitted",
            "message": "The pod has been submitted to the remote plugin for creation",
        }
    }
    return {
        "phase": "Pending",
        "conditions": _conditions(initialized=not spec.get("initContainers"), scheduled=True),
        "hostIP": node_ip,
        "podIP": node_ip,
        "startTime": now,
        "containerStatuses": [_container_status(container, submitted) for container in spec.get("containers") or []],
    }


def _container_status(container: Document, state: Document) -> Document:
    return {
        "name": container.get("name"),
        "state": deepcopy(state),
        "lastState": {},
        "ready": False,
        "restartCount": 0,
        "image": container.get("image", ""),
        "imageID": "",
    }


def _conditions(*, initialized: bool, scheduled: bool) -> list[Document]:
    values = {"Initialized": initialized, "Ready": False, "PodScheduled": scheduled}
    return [{"type": key, "status": str(value), "lastProbeTime": None, "lastTransitionTime": None} for key, value in values.items()]


def _managed_fields(now: str) -> Document:
    fields: Document = {"f:spec": {"f:restartPolicy": {}, "f:terminationGracePeriodSeconds": {}}}
    return {"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "time": now, "fieldsType": "FieldsV1", "fieldsV1": fields}


def _uuid4(random: Random) -> uuid.UUID:
    return uuid.UUID(int=random.getrandbits(128), version=4)
