"""The judge's model of the virtual kubelet against the real one: both are told the same answers, and must show the same pod.

The plugin here is a few lines that answer what each test says, right or wrong; no container runs.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.kubelet import KubeletCrashError, apply_answer
from interlink_common.virtualkubelet.manifests import from_documents
from tests.servers.interlink import Node, Programs
from tests.servers.kubernetes import Cluster, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("chain")]

Document = dict[str, Any]
AT = "2026-11-21T05:44:21Z"
PATIENCE_SECONDS = 120.0


def entry(name: str, kind: str, *, ready: bool = False, **state: Any) -> Document:
    return {"name": name, "state": {kind: state}, "lastState": {}, "ready": ready, "restartCount": 0, "image": "i", "imageID": "i"}


def waiting(name: str) -> Document:
    return entry(name, "waiting", reason="ContainerCreating")


def running(name: str, *, ready: bool = True) -> Document:
    return entry(name, "running", startedAt=AT, ready=ready)


def ended(name: str, exit_code: int = 0, **more: Any) -> Document:
    return entry(name, "terminated", exitCode=exit_code, startedAt=AT, finishedAt=AT, **more)


def told(*containers: Document, inits: tuple[Document, ...] = ()) -> Document:
    return {"containers": list(containers), "initContainers": list(inits)}


SET_UP = told(waiting("a"), inits=(waiting("i"), waiting("j")))
SCENES: dict[str, tuple[tuple[str, ...], tuple[str, ...], list[Document]]] = {
    "runs": (("a",), (), [told(waiting("a")), told(running("a"))]),
    "ends": (("a", "b"), (), [told(running("a"), running("b")), told(ended("a"), ended("b"))]),
    "fails": (("a", "b"), (), [told(ended("a", 3, reason="OOMKilled", message="over the limit"), ended("b"))]),
    "flaps": (("a",), (), [told(running("a")), told(waiting("a"))]),
    "is-not-ready": (("a",), (), [told(running("a", ready=False))]),
    "is-empty": (("a",), (), [told()]),
    "misses-one": (("a", "b"), (), [told(ended("a"))]),
    "initialises": (("a",), ("i", "j"), [SET_UP, told(waiting("a"), inits=(ended("i"), running("j")))]),
    "is-ready-too-early": (("a",), ("i",), [told(waiting("a") | {"ready": True}, inits=(running("i"),))]),
    "fails-in-init": (("a",), ("i", "j"), [SET_UP, told(ended("a", 1), inits=(ended("i"), ended("j", 4)))]),
    "hangs-in-init": (("a",), ("i", "j"), [SET_UP, told(ended("a", 1), inits=(ended("i", 4), waiting("j")))]),
    "overwrites-index-0": (("a",), ("i", "j"), [told(ended("a", 1), inits=(ended("i"), ended("j", 5)))]),
    "is-new-and-runs": (("a",), ("i", "j"), [told(waiting("a"), inits=(ended("i"), running("j")))]),
}  # fmt: skip
CRASHES = {
    "crashes-by-a-missing-container": (("a", "b"), (), [told(ended("a", 1))]),
    "crashes-by-a-new-init": (("a",), ("i", "j"), [told(waiting("a"), inits=(running("i"), ended("j")))]),
}


class Answers:
    """A plugin that tells each pod's answers in turn and then the last one for ever."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = defaultdict(int)
        answers = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
                self.reply([answers.of(pod["metadata"]) for pod in body or []] if body else {"status": "ok"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.reply({"PodUID": body["pod"]["metadata"]["uid"], "PodJID": "1"} if "pod" in body else {})

            def reply(self, body: object) -> None:
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
                pass

        self.port = free_port()
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)

    def of(self, metadata: Document) -> Document:
        *_, answers = (SCENES | CRASHES)[metadata["name"]]
        turn = self.asked[metadata["name"]]
        self.asked[metadata["name"]] += 1
        identity = {"name": metadata["name"], "namespace": metadata["namespace"], "UID": metadata["uid"], "JID": "1"}
        return identity | answers[min(turn, len(answers) - 1)]


def manifest(name: str, node: str) -> Document:
    containers, inits, _ = (SCENES | CRASHES)[name]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "initContainers": [{"name": init, "image": "i"} for init in inits],
            "containers": [{"name": container, "image": "i"} for container in containers],
        },
    }


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    answers = Answers()
    thread = threading.Thread(target=answers.server.serve_forever)
    thread.start()
    yield answers
    answers.server.shutdown()
    thread.join()
    answers.server.server_close()


@pytest.fixture(scope="module")
def node(answers: Answers, programs: Programs, cluster: Cluster) -> Node:
    node = Node(programs, cluster, "vk-model", f"http://127.0.0.1:{answers.port}")
    node.start()
    apply(node, *SCENES)
    wait_until_told(answers, node)
    return node


def apply(node: Node, *names: str) -> None:
    items = [manifest(name, node.name) for name in names]
    node.cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def wait_until_told(answers: Answers, node: Node) -> None:
    """Every pod was told everything, and another round passed, so that the cluster has seen what became of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(answers.asked[name] < len(scene[2]) for name, scene in SCENES.items()) or answers.asked["runs"] < 5:
        assert node.vk_runs, "the virtual kubelet crashed where the model does not"
        assert time.monotonic() < deadline, dict(answers.asked)
        time.sleep(0.5)


def shown(status: Document) -> Document:
    """What the virtual kubelet decides, in one spelling: without what is empty, and without what Kubernetes adds."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare(inner) for key, inner in value.items() if inner not in (None, "", {}, []) or key == "exitCode"}
        return [bare(inner) for inner in value] if isinstance(value, list) else value

    kept = ("phase", "reason", "containerStatuses", "initContainerStatuses")
    return dict(bare({key: status.get(key) for key in kept}))


@pytest.mark.parametrize("name", SCENES)
def test_the_model_shows_what_the_real_one_shows(node: Node, name: str) -> None:
    model = VirtualPod.admit(from_documents([manifest(name, node.name)]), now=0.0)
    answers = SCENES[name][2]
    for answer in [*answers, answers[-1]]:
        if not model.ended:
            apply_answer(model.status, answer)
    assert shown(node.cluster.get("pod", name)["status"]) == shown(model.status)


@pytest.mark.parametrize("name", CRASHES)
def test_the_real_one_crashes_where_the_model_does(node: Node, name: str) -> None:
    model = VirtualPod.admit(from_documents([manifest(name, node.name)]), now=0.0)
    with pytest.raises(KubeletCrashError):
        apply_answer(model.status, CRASHES[name][2][0])
    assert node.vk_runs
    apply(node, name)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while node.vk_runs:
        assert time.monotonic() < deadline, "the virtual kubelet lives on"
        time.sleep(0.2)
    node.cluster.kubectl("delete", "pod", name, "--force", "--grace-period=0")
    node.restart_vk()
