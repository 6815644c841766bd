"""The bodies we build are those that the real client sent: recorded pods are rebuilt from what kubectl was given."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from interlink_common.errors import BadRequest, Refused
from interlink_common.virtualkubelet.admission import canonical_quantity
from interlink_common.virtualkubelet.bodies import NodeOptions, VirtualPod
from interlink_common.virtualkubelet.environment import expand, flattened
from interlink_common.virtualkubelet.manifests import Manifests, from_documents, load_manifests

WIRE = Path(__file__).parents[3] / "wire"
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NOW = 1_795_240_309.0
Document = dict[str, Any]


def recorded(name: str) -> Any:
    return json.loads((WIRE / name).read_text())["body"]


def rebuilt(body: Document, **options: Any) -> VirtualPod:
    """The recorded pod again, from the manifests that kubectl noted in annotations; its dice (uid, names) as they fell then."""
    pod = body["pod"]
    documents = [json.loads(pod["metadata"]["annotations"][APPLIED])]
    objects = {}
    for container in body["container"]:
        for kind, key in (("ConfigMap", "configMaps"), ("Secret", "secrets")):
            objects.update({(kind, found["metadata"]["name"]): {**found, "kind": kind} for found in container[key] or []})
    projected = [found for container in body["container"] for found in container["projectedvolumemaps"] or []]
    token_volume = next(found for found in projected if "kube-api-access" in found["metadata"]["name"])
    manifests = from_documents([*documents, *objects.values()])
    manifests.pod["metadata"]["annotations"] = pod["metadata"]["annotations"]
    node = NodeOptions(
        node_name=pod["spec"]["nodeName"],
        service_account=True,
        token=token_volume["data"]["token"],
        ca_certificate=token_volume["data"]["ca.crt"],
        **options,
    )
    again = VirtualPod.admit(manifests, node, now=NOW)
    generated = next(v["name"] for v in again.document["spec"]["volumes"] if v["name"].startswith("kube-api-access"))
    text = json.dumps(again.document).replace(generated, token_volume["metadata"]["name"])
    again.document = json.loads(text)
    return again


def comparable(body: Document) -> Document:
    """Without what only a cluster has (versions, ids, clocks), and lists sorted whose order Go's maps leave to chance."""
    body = json.loads(json.dumps(body))
    metadata = body["pod"]["metadata"]
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        assert metadata.pop(key), key
    assert body["pod"]["status"].pop("startTime")
    for container in (body["pod"]["spec"].get("initContainers") or []) + body["pod"]["spec"]["containers"]:
        if "env" in container:
            container["env"].sort(key=lambda variable: variable["name"])
    for container in body["container"]:
        for found in (container["configMaps"] or []) + (container["secrets"] or []):
            for key in ("managedFields", "creationTimestamp", "resourceVersion", "uid"):
                found["metadata"].pop(key, None)
    return body


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("01-create-rich-default.json", {}),
        ("02-create-rich-skipdownward.json", {"skip_downward_api_resolution": True}),
        ("03-create-simple.json", {}),
        ("05-create-disable-offload.json", {}),
    ],
)
def test_a_rebuilt_create_body_equals_the_recorded_one(name: str, options: Document) -> None:
    body = recorded(name)
    assert comparable(rebuilt(body, **options).create_body()) == comparable(body)


def test_with_skip_downward_api_resolution_the_variables_keep_their_order() -> None:
    body = recorded("02-create-rich-skipdownward.json")
    wire = body["pod"]["spec"]["containers"][0]["env"]
    built = rebuilt(body, skip_downward_api_resolution=True).create_body()["pod"]["spec"]["containers"][0]["env"]
    explicit = len([entry for entry in wire if entry["name"] not in ("a.conf", "key-b", "GOOD_KEY", "P_user", "P_password")])
    assert built[:explicit] == wire[:explicit]


def test_status_and_delete_keep_what_create_rewrites() -> None:
    pod = rebuilt(recorded("01-create-rich-default.json"))
    wire = recorded("06-status-rich-running.json")[0]["spec"]
    for spec in (pod.status_body()[0]["spec"], pod.delete_body(now=NOW)["spec"]):
        for container in spec["containers"] + wire["containers"]:
            container.get("env", []).sort(key=lambda variable: variable["name"])
        assert spec == wire


def test_status_shows_containers_that_are_not_offloaded() -> None:
    pod = rebuilt(recorded("05-create-disable-offload.json"))
    wire = recorded("07-status-disable-offload-full-pod.json")[0]
    assert pod.status_body()[0]["spec"] == wire["spec"]


RUNNING = {"state": {"running": {"startedAt": "2026-11-21T05:44:21Z"}}, "ready": True}


def test_the_three_forms_of_delete() -> None:
    def forms() -> dict[str, Document]:
        running, pending, failed = (rebuilt(recorded("03-create-simple.json")) for _ in range(3))
        running.status["containerStatuses"][0].update(RUNNING)
        failed.create_failed("no such volume", now=NOW)
        return {
            "10-delete-running-grace5.json": running.delete_body(now=NOW),
            "11-delete-pending-no-grace.json": pending.delete_body(now=NOW),
            "12-delete-after-failed-create.json": failed.delete_body(now=NOW),
        }

    for name, built in forms().items():
        wire = recorded(name)
        for key in ("deletionTimestamp", "deletionGracePeriodSeconds"):
            assert (key in built["metadata"]) == (key in wire["metadata"]), (name, key)
        assert built["metadata"]["generation"] == wire["metadata"]["generation"], name
        assert built["status"]["reason"] == wire["status"]["reason"], name
        ours, theirs = built["status"]["containerStatuses"][0], wire["status"]["containerStatuses"][0]
        assert {**ours["state"]["terminated"], "finishedAt": ""} == {**theirs["state"]["terminated"], "finishedAt": ""}, name


def test_delete_tells_the_grace_that_was_asked_for() -> None:
    pod = rebuilt(recorded("03-create-simple.json"))
    pod.status["containerStatuses"][0].update(RUNNING)
    metadata = pod.delete_body(now=NOW, grace_seconds=0)["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 0
    assert metadata["deletionTimestamp"] == "2026-11-21T05:51:49Z"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("13-getLogs-follow.json", {"Follow": True}),
        ("14-getLogs-sincetime.json", {"SinceTime": "2026-11-21T05:00:00Z"}),
        ("15-getLogs-tail.json", {"Tail": 2, "Timestamps": True}),
    ],
)
def test_a_log_body_equals_the_recorded_one(name: str, options: Document) -> None:
    wire = recorded(name)
    pod = rebuilt(recorded("03-create-simple.json"))
    pod.document["metadata"].update(name=wire["PodName"], uid=wire["PodUID"])
    assert pod.log_body("c0", **options) == wire


def test_an_unknown_log_option_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="tail"):
        rebuilt(recorded("03-create-simple.json")).log_body("c0", tail=2)


def pod_manifest(**spec: Any) -> Document:
    containers = [{"name": "main", "image": "localhost:5000/x", **spec.pop("container", {})}]
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers, **spec}}


def admitted(*documents: Document, **options: Any) -> VirtualPod:
    return VirtualPod.admit(from_documents(documents), NodeOptions(seed=1, **options), now=NOW)


def test_the_same_seed_gives_the_same_pod_and_another_one_does_not() -> None:
    assert admitted(pod_manifest()).create_body() == admitted(pod_manifest()).create_body()
    assert admitted(pod_manifest()).uid != VirtualPod.admit(from_documents([pod_manifest()]), now=NOW).uid


def test_probes_ports_and_requests_are_defaulted() -> None:
    container = {
        "ports": [{"containerPort": 80}],
        "livenessProbe": {"httpGet": {"port": 80}},
        "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}, "requests": {"cpu": "100m"}},
    }
    made = admitted(pod_manifest(container=container)).create_body()["pod"]["spec"]["containers"][0]
    assert made == {
        "name": "main",
        "image": "localhost:5000/x",
        "ports": [{"containerPort": 80, "protocol": "TCP"}],
        "livenessProbe": {
            "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "1Gi"}},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "Always",
    }


def test_a_pod_of_which_nothing_is_offloaded_has_null_lists() -> None:
    manifest = pod_manifest()
    manifest["metadata"]["annotations"] = {"interlink.eu/disable-offload-containers": " main "}
    body = admitted(manifest).create_body()
    assert (body["pod"]["spec"]["containers"], body["container"]) == (None, None)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0.5", "500m"), ("1000m", "1"), (2, "2"), ("1.5Gi", "1536Mi"), ("1024Mi", "1Gi"), ("2e3", "2k"), ("0", "0"),
        ("100M", "100M"), ("1500", "1500"), ("1Ki", "1Ki"), ("64Mi", "64Mi"), ("1.5", "1500m"), ("x", "x"), ("", ""), ("1_0", "1_0"),
    ],
)  # fmt: skip
def test_quantities_are_written_back_canonically(written: str, stored: str) -> None:
    assert canonical_quantity(written) == stored


@pytest.mark.parametrize(
    ("value", "expanded"),
    [("$(A)", "1"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$(B)", "$(B)"), ("$(A", "$(A"), ("$A $", "$A $"), ("$()", "$()"), ("$$", "$")],
)
def test_variables_expand_as_kubernetes_documents(value: str, expanded: str) -> None:
    assert expand(value, {"A": "1"}) == expanded


def test_flattening_lets_explicit_names_win_and_skips_invalid_ones() -> None:
    manifests = Manifests({}, {"cm": {"data": {"A": "from-map", "1bad": "x", "B": ""}}})
    container = {"envFrom": [{"configMapRef": {"name": "cm"}}], "env": [{"name": "A", "value": "own $(B)."}]}
    made = flattened(container, {"metadata": {}, "spec": {}}, manifests, Random(0))
    assert sorted(made, key=lambda entry: entry["name"]) == [{"name": "A", "value": "own ."}, {"name": "B"}]


SECRET_KEY = {"name": "X", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}}


@pytest.mark.parametrize(
    ("manifest", "word"),
    [
        (pod_manifest(container={"env": [SECRET_KEY]}), "Secret no"),
        (pod_manifest(container={"envFrom": [{"configMapRef": {"name": "no"}}]}), "ConfigMap no"),
        (pod_manifest(container={"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}), "status.podIP"),
        (pod_manifest(volumes=[{"name": "v", "configMap": {"name": "no", "optional": True}}]), "ConfigMap no of volume v"),
        (pod_manifest(volumes=[{"name": "v", "secret": {"secretName": "no"}}]), "Secret no of volume v"),
        (pod_manifest(volumes=[{"name": "v", "projected": {"sources": [{"configMap": {"name": "no"}}]}}]), "ConfigMap no"),
    ],
)
def test_a_pod_that_the_virtual_kubelet_never_sends_is_refused_by_name(manifest: Document, word: str) -> None:
    with pytest.raises(Refused, match=word):
        admitted(manifest).create_body()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("kind: Pod\nmetadata: {}", "metadata.name"),
        ("a: [", "line"),
        ("- 1", "not an object"),
        ("", "0 pods"),
        ("kind: Job\nmetadata: {name: j}", "Job"),
        ("kind: Pod\nmetadata: {name: p}\n---\nkind: Pod\nmetadata: {name: q}", "2 pods"),
    ],
)
def test_a_bad_manifest_is_refused_in_one_sentence(text: str, word: str) -> None:
    with pytest.raises(BadRequest, match=word) as caught:
        load_manifests(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({}, "spec.containers[0]"),
        ({"containers": "x"}, "spec.containers"),
        ({"containers": [{"name": "a", "env": [{"value": "x"}]}]}, "spec.containers[0].env[0]"),
        ({"containers": [{"name": "a"}], "volumes": [7]}, "spec.volumes[0]"),
    ],
)
def test_a_pod_without_the_names_the_kit_needs_is_refused_by_field(spec: Document, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        admitted({"kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    assert str(caught.value).startswith(field + " ")


def test_manifests_are_read_as_kubectl_reads_them() -> None:
    manifests = load_manifests(
        "kind: List\nitems:\n- {kind: Pod, metadata: {name: p, annotations: {day: 2026-01-01}}}\n"
        "---\nkind: Secret\nmetadata: {name: s}\nstringData: {a: x}\ndata: {a: b2xk, b: Yg==}\n---\n"
    )
    assert manifests.pod["metadata"]["annotations"] == {"day": "2026-01-01"}
    assert manifests.secrets["s"]["data"] == {"a": "eA==", "b": "Yg=="}
