"""Every numbered point of the contract: an answer that must be condemned under it, and one close to it that must pass."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from interlink_common.virtualkubelet.bodies import NodeOptions, VirtualPod
from interlink_common.virtualkubelet.judge import JudgeError, SentenceError, judge_sentence, judge_status
from interlink_common.virtualkubelet.kubelet import KubeletCrashError, apply_answer
from interlink_common.virtualkubelet.manifests import from_documents
from interlink_common.virtualkubelet.rules import POINTS

Document = dict[str, Any]
AT = "2026-11-21T05:44:21Z"


def pod_of(*containers: str, inits: tuple[str, ...] = (), sidecars: tuple[str, ...] = (), policy: str = "Never", **spec: Any) -> VirtualPod:
    manifest = {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "restartPolicy": policy,
            "initContainers": [{"name": name, "image": "i"} for name in inits]
            + [{"name": name, "image": "i", "restartPolicy": "Always"} for name in sidecars],
            "containers": [{"name": name, "image": "i"} for name in containers],
            **spec,
        },
    }
    return VirtualPod.admit(from_documents([manifest]), NodeOptions(seed=7), now=0.0)


def entry(name: str, state: Document, **more: Any) -> Document:
    return {"name": name, "state": state, "lastState": {}, "ready": False, "restartCount": 0, "image": "i", "imageID": "", **more}


def waiting(name: str, **more: Any) -> Document:
    return entry(name, {"waiting": {"reason": "ContainerCreating"}}, **more)


def running(name: str, **more: Any) -> Document:
    return entry(name, {"running": {"startedAt": AT}}, **{"ready": True, "containerID": f"x://{name}", **more})


def ended(name: str, exit_code: int = 0, **more: Any) -> Document:
    return entry(name, {"terminated": {"exitCode": exit_code, "startedAt": AT, "finishedAt": AT, **more}})


def answer(pod: VirtualPod, *containers: Document, inits: tuple[Document, ...] = (), **more: Any) -> bytes:
    one = {"name": pod.name, "UID": pod.uid, "namespace": pod.namespace, "JID": "1"}
    return json.dumps([{**one, "containers": containers, "initContainers": inits, **more}]).encode()


def without(document: Document, *keys: str) -> Document:
    return {key: value for key, value in document.items() if key not in keys}


def told(*containers: Document, inits: tuple[Document, ...] = (), **more: Any) -> Document:
    return {"containers": containers, "initContainers": inits, **more}


A = pod_of("a")
AB = pod_of("a", "b")
I1 = pod_of("a", inits=("i",))
I2 = pod_of("a", inits=("i", "j"))
I1_AGAIN = pod_of("a", inits=("i",), policy="OnFailure")
ALWAYS = pod_of("a", policy="Always")
OOM: Document = {"exit_code": 137, "reason": "OOMKilled"}
LOCAL_TIME = "2026-11-21T05:44:21+02:00"
CASES = [
    ("name", 0, A, told(running("a"), name="q"), told(running("a"))),
    ("namespace", 0, A, told(running("a"), namespace=""), told(running("a"), namespace="default")),
    ("JID", 0, A, told(running("a"), JID=None), told(running("a"), JID="")),
    ("no state", 0, A, told(entry("a", {})), told(waiting("a"))),
    ("two states", 0, A, told(entry("a", {**running("a")["state"], **waiting("a")["state"]})), told(running("a"))),
    ("no name", 0, A, told({"state": {}}), told(running("a"))),
    ("not a list", 0, A, told(running("a"), initContainers=3), told(running("a"), initContainers=None)),
    ("empty", 1, A, told(), told(waiting("a"))),
    ("null", 1, A, told(containers=None), told(waiting("a"))),
    ("missing beside a failure", 2, AB, told(ended("a", 1)), told(ended("a", 1), ended("b"))),
    ("missing beside success", 2, AB, told(ended("a")), told(ended("a"), waiting("b"))),
    ("a stranger", 2, A, told(running("a"), running("b")), told(running("a"))),
    ("twice", 2, A, told(running("a"), running("a")), told(running("a"))),
    ("no exitCode", 3, A, told(entry("a", {"terminated": {"finishedAt": AT}})), told(ended("a"))),
    ("OOM without message", 4, A, told(ended("a", **OOM)), told(ended("a", **OOM, message="over 64Mi"))),
    ("main lives", 5, I1, told(waiting("a"), inits=(ended("i", 1),)), told(ended("a", 1), inits=(ended("i", 1),))),
    ("main ends well", 5, I1, told(ended("a", 0), inits=(ended("i", 1),)), told(ended("a", 128), inits=(ended("i", 1),))),
    ("later init waits", 5, I2, told(ended("a", 1), inits=(ended("i", 1), waiting("j"))), told(ended("a", 1), inits=(ended("i", 1),))),
    ("ready in init", 6, I1, told(waiting("a", ready=True), inits=(running("i"),)), told(waiting("a"), inits=(running("i"),))),
    ("sidecar listed", 7, pod_of("a", sidecars=("s",)), told(running("a"), inits=(running("s"),)), told(running("a"))),
    ("init left out", 7, I2, told(waiting("a"), inits=(running("i"),)), told(waiting("a"), inits=(running("i"), waiting("j")))),
    ("unknown init", 7, A, told(waiting("a"), inits=(waiting("z"),)), told(waiting("a"))),
    ("init twice", 7, I1, told(waiting("a"), inits=(waiting("i"), waiting("i"))), told(waiting("a"), inits=(waiting("i"),))),
    ("crash", 7, I2, told(waiting("a"), inits=(running("i"), ended("j"))), told(waiting("a"), inits=(ended("i"), running("j")))),
    ("overwrites", 7, I2, told(ended("a", 1), inits=(ended("i"), ended("j", 1))), told(running("a"), inits=(ended("i"), ended("j")))),
    ("not ready", 8, A, told(running("a", ready=False)), told(running("a"))),
    ("Always", 9, ALWAYS, told(ended("a")), told(waiting("a"))),
    ("OnFailure", 9, pod_of("a", policy="OnFailure"), told(ended("a", 1)), told(ended("a"))),
    ("OnFailure, init", 9, I1_AGAIN, told(ended("a", 1), inits=(ended("i", 1),)), told(waiting("a"), inits=(waiting("i"),))),
    ("an attempt", 9, ALWAYS, told(ended("a", 1, reason="Error")), told(ended("a", 1, reason="Evicted", message="m"))),
    ("type", 10, A, told(running("a", restartCount="1")), told(running("a", started=None))),
    ("exit code", 10, A, told(ended("a", 2**31)), told(ended("a", -1))),
    ("zone", 11, A, told(ended("a", finishedAt=LOCAL_TIME)), told(ended("a", finishedAt=None))),
    ("epoch", 11, A, told(entry("a", {"running": {"startedAt": 17}}, ready=True, containerID="c")), told(running("a"))),
    ("no containerID", 11, A, told(without(running("a"), "containerID")), told(without(waiting("a"), "image", "imageID"))),
    ("no image", 11, A, told(without(running("a"), "image")), told(running("a"))),
    ("no restartCount", 11, A, told(without(running("a"), "restartCount")), told(running("a"))),
    ("no lastState", 11, A, told(running("a", restartCount=1)), told(running("a", restartCount=1, lastState=ended("a", 1)["state"]))),
]  # fmt: skip
BY_NAME = [pytest.param(point, pod, bad, good, id=f"{point}-{name}") for name, point, pod, bad, good in CASES]


@pytest.mark.parametrize(("point", "pod", "bad", "good"), BY_NAME)
def test_each_point_condemns_and_lets_pass(point: int, pod: VirtualPod, bad: Document, good: Document) -> None:
    with pytest.raises(JudgeError) as caught:
        judge_status(deepcopy(pod), answer(pod, **bad))
    assert (caught.value.point, str(caught.value).startswith(f"point {point} ")) == (point, True)
    assert judge_status(deepcopy(pod), answer(pod, **good))


def test_every_point_has_a_case() -> None:
    assert {point for _, point, *_ in CASES} == set(POINTS)


def test_a_condemned_answer_leaves_the_pod_as_it_was() -> None:
    pod = deepcopy(A)
    with pytest.raises(JudgeError):
        judge_status(pod, answer(pod, running("a", ready=False)))
    assert pod.document == A.document


@pytest.mark.parametrize("body", [b"[]", b"null", b'[{"UID": "another"}]'])
def test_point_10_a_pod_left_out_keeps_its_state(body: bytes) -> None:
    pod = deepcopy(A)
    assert judge_status(pod, answer(pod, running("a")))
    before = deepcopy(pod.document)
    assert not judge_status(pod, body)
    assert pod.document == before


@pytest.mark.parametrize(("body", "point"), [(b"", 10), (b"{", 10), (b"{}", 0), (b"[1]", 0)])
def test_a_body_that_is_no_answer_is_condemned(body: bytes, point: int) -> None:
    with pytest.raises(JudgeError) as caught:
        judge_status(deepcopy(A), body)
    assert caught.value.point == point


def states(pod: VirtualPod) -> dict[str, Document]:
    return {key: value for name in ("a", "b", "i", "j") for key, value in _state(pod, name)}


def _state(pod: VirtualPod, name: str) -> list[tuple[str, Document]]:
    try:
        return [(name, pod.container_status(name)["state"])]
    except KeyError:
        return []


def test_point_9_terminal_is_for_ever() -> None:
    pod = deepcopy(A)
    assert judge_status(pod, answer(pod, ended("a", 3)))
    assert (pod.phase, pod.status["reason"], pod.ended) == ("Failed", "Error: 3", True)
    assert not judge_status(pod, answer(pod, running("a")))
    assert pod.phase == "Failed"


def test_point_4_the_reason_is_overwritten_and_the_message_kept() -> None:
    pod = deepcopy(AB)
    judge_status(pod, answer(pod, ended("a", 137, reason="OOMKilled", message="over 64Mi"), ended("b")))
    assert states(pod) == {
        "a": {"terminated": {"exitCode": 137, "reason": "Error: 137", "message": "over 64Mi", "startedAt": AT, "finishedAt": AT}},
        "b": {"terminated": {"exitCode": 0, "reason": "Error: 137", "startedAt": AT, "finishedAt": AT}},
    }


def test_point_6_a_running_init_shows_the_mains_as_waiting_with_their_own_ready() -> None:
    pod = deepcopy(I2)
    judge_status(pod, answer(pod, waiting("a"), inits=(ended("i"), running("j"))))
    shown = pod.container_status("a")
    assert (pod.phase, shown["state"], shown["ready"]) == ("Pending", {"waiting": {"reason": "Init:1/2"}}, False)


def test_point_8_running_flaps_to_waiting_and_back() -> None:
    pod = deepcopy(A)
    phases = []
    for one in (waiting("a"), running("a"), waiting("a"), running("a"), ended("a")):
        judge_status(pod, answer(pod, one))
        phases.append((pod.phase, pod.container_status("a")["ready"]))
    assert phases == [("Pending", False), ("Running", True), ("Running", False), ("Running", True), ("Succeeded", False)]


def test_point_7_an_init_that_was_seen_before_may_fail() -> None:
    pod = deepcopy(I2)
    judge_status(pod, answer(pod, waiting("a"), inits=(waiting("i"), waiting("j"))))
    judge_status(pod, answer(pod, waiting("a"), inits=(ended("i"), running("j"))))
    judge_status(pod, answer(pod, ended("a", 128), inits=(ended("i"), ended("j", 4))))
    assert (pod.phase, pod.status["reason"]) == ("Failed", "Error: 128")
    assert [pod.container_status(name)["state"]["terminated"]["exitCode"] for name in "ij"] == [0, 4]


def raw(pod: VirtualPod, *containers: Document, inits: tuple[Document, ...] = ()) -> Document:
    status = deepcopy(pod.status)
    apply_answer(status, {"containers": list(containers), "initContainers": list(inits)})
    return status


@pytest.mark.parametrize(
    ("pod", "told_of"),
    [
        pytest.param(AB, told(ended("a", 1)), id="2-missing-beside-a-failure"),
        pytest.param(I1, told(inits=(ended("i", 1),)), id="2-empty-and-failed-init"),
        pytest.param(I2, told(waiting("a"), inits=(running("i"), ended("j"))), id="7-new-init-terminated"),
    ],
)
def test_the_kubelet_itself_crashes_where_the_contract_says(pod: VirtualPod, told_of: Document) -> None:
    with pytest.raises(KubeletCrashError):
        raw(pod, *told_of["containers"], inits=told_of["initContainers"])


def test_the_kubelet_itself_takes_what_is_missing_for_success() -> None:
    assert raw(A)["phase"] == "Succeeded"
    assert raw(AB, ended("a"))["phase"] == "Succeeded"
    assert raw(AB, running("a"))["phase"] == "Running"


@pytest.mark.parametrize("text", ["", "  ", "x" * 301, "a\nb", "it's", 'say "no"', "a < b", "a & b", '{"detail": 1}'])
def test_a_sentence_that_would_be_mangled_is_condemned(text: str) -> None:
    with pytest.raises(SentenceError):
        judge_sentence(text)


def test_a_plain_sentence_passes() -> None:
    judge_sentence("spec.volumes[0].hostPath: /etc is not in host_paths of the plugin; ask the operator.")
