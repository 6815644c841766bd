"""Every numbered point under GET /status of the wire contract: whole answers, and any report at all before a judging kubelet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting
from interlink_common.testing.scripts import Script
from interlink_common.tracking.composition import Subject, compose, compose_waiting
from interlink_common.tracking.outage import BackendState
from interlink_common.tracking.pods import Intent, PodRecord
from interlink_common.tracking.registry import ContactClock, Registry
from interlink_common.tracking.statuses import answer, parse_status
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.judge import judge_status
from interlink_common.virtualkubelet.manifests import from_documents
from tests.unit.common.tracking.world import make_pod


def subject(*containers: str, inits: tuple[str, ...] = ()) -> Subject:
    return Subject("u", "ns", "n", "j", containers or ("a", "b"), inits)


def said(name: str, state: ContainerState, **fields: Any) -> ContainerReport:
    return ContainerReport(name, state, **fields)


def ok(name: str, **fields: Any) -> ContainerReport:
    return said(name, Running(10.0), ready=True, started=True, **fields)


def shown(wire: bytes) -> dict[str, str]:
    """Container -> state in one word."""
    entry = json.loads(wire)
    words = {}
    for status in entry["initContainers"] + entry["containers"]:
        ((kind, fields),) = status["state"].items()
        detail = {"waiting": "reason", "running": "startedAt", "terminated": "exitCode"}[kind]
        words[status["name"]] = f"{kind} {fields[detail]}" + (" ready" if status["ready"] else "")
    return words


RUNNING = "running 1970-01-01T00:00:10Z ready"
WAITING = Waiting("PodInitializing")
TABLE: dict[str, tuple[Subject, PodReport | None, dict[str, Any], dict[str, str]]] = {
    "nothing heard yet": (subject(inits=("i",)), None, {},
        {"i": "waiting PodInitializing", "a": "waiting PodInitializing", "b": "waiting PodInitializing"}),
    "nothing heard yet, no inits": (subject("a"), None, {}, {"a": "waiting ContainerCreating"}),
    "both run": (subject(), PodReport((ok("a"), ok("b"))), {}, {"a": RUNNING, "b": RUNNING}),
    "1, 2: a container that the backend forgot": (
        subject(), PodReport((ok("a"),)), {}, {"a": RUNNING, "b": "waiting ContainerStatusUnknown"},
    ),
    "2: forgotten at the end is a failure": (
        subject(), PodReport((said("a", Terminated(0)),), finished=True), {}, {"a": "terminated 0", "b": "terminated 137"},
    ),
    "3: an abnormal end is non-zero": (
        subject("a"), PodReport((said("a", Terminated(0, "DeadlineExceeded")),), finished=True), {}, {"a": "terminated 137"},
    ),
    "5: a failed init ends everything non-zero": (
        subject("a", inits=("i", "k")),
        PodReport((said("a", Terminated(0)),), (said("i", Terminated(2)), said("k", WAITING)), finished=True), {},
        {"i": "terminated 2", "k": "terminated 137", "a": "terminated 137"},
    ),
    "5: a failed init before the pod has ended waits": (
        subject("a", inits=("i",)), PodReport((said("a", WAITING),), (said("i", Terminated(2)),)), {},
        {"i": "waiting Completing", "a": "waiting PodInitializing"},
    ),
    "5: the pod ended before its init did": (
        subject("a", inits=("i",)),
        PodReport((said("a", Terminated(137, "DeadlineExceeded")),), (said("i", Running(1)),), finished=True), {},
        {"i": "terminated 137", "a": "terminated 137"},
    ),
    "6: a running init makes no main ready": (
        subject("a", inits=("i",)), PodReport((ok("a"),), (said("i", Running(10.0)),)), {},
        {"i": "running 1970-01-01T00:00:10Z", "a": "running 1970-01-01T00:00:10Z"},
    ),
    "7: a native sidecar has no entry": (
        subject("a", inits=("i",)), PodReport((ok("a"),), (said("i", Terminated(0)), ok("proxy"))), {}, {"i": "terminated 0", "a": RUNNING},
    ),
    "8: not ready is waiting": (
        subject("a"), PodReport((said("a", Running(1), started=True),)), {}, {"a": "waiting NotReady"},
    ),
    "9: between two attempts": (
        subject("a"), PodReport((said("a", Waiting("CrashLoopBackOff")),)), {}, {"a": "waiting CrashLoopBackOff"},
    ),
    "9: one may end before the other": (
        subject(), PodReport((said("a", Terminated(0)), ok("b"))), {}, {"a": "terminated 0", "b": RUNNING},
    ),
    "9: all ended, but not the pod": (
        subject(), PodReport((said("a", Terminated(0, finished_at=2.0)), said("b", Terminated(0, finished_at=1.0)))), {},
        {"a": "waiting Completing", "b": "terminated 0"},
    ),
    "left in the cluster: waits with the others": (
        subject(inits=("i",)), PodReport((said("a", WAITING),)), {"not_offloaded": frozenset("bi")},
        {"i": "waiting PodInitializing", "a": "waiting PodInitializing", "b": "waiting ContainerCreating"},
    ),
    "left in the cluster: runs with the others": (
        subject(inits=("i",)), PodReport((ok("a"),)), {"not_offloaded": frozenset("bi")}, {"i": "terminated 0", "a": RUNNING, "b": RUNNING},
    ),
    "left in the cluster: ends with the others": (
        subject(inits=("i",)), PodReport((said("a", Terminated(3)),), finished=True), {"not_offloaded": frozenset("bi")},
        {"i": "terminated 0", "a": "terminated 3", "b": "terminated 0"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_states(case: str) -> None:
    who, report, options, expected = TABLE[case]
    assert shown(compose(who, report, **options).wire) == expected


def waits(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def runs(started_at: str = "1970-01-01T00:00:10Z") -> dict[str, Any]:
    return {"running": {"startedAt": started_at}}


def ends(code: int, reason: str = "", message: str = "", **times: str) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason or ("Error" if code else "Completed"), "message": message, **times}}


COMPLETING = "ended with exit code {}; the rest of the pod is being stopped"
SIDECAR = said("proxy", Waiting("ErrImagePull", "no such image"))
TROUBLE = "sidecar proxy: ErrImagePull: no such image"
ALIVE: dict[str, tuple[Subject, PodReport, str, dict[str, dict[str, Any]]]] = {
    "a container that stays in the cluster starts with the first of the others": (
        subject("a", "b", "c"), PodReport((said("a", Running(30.0), ready=True), said("b", Terminated(0, started_at=20.0)))), "c",
        {"a": runs("1970-01-01T00:00:30Z"), "b": ends(0, startedAt="1970-01-01T00:00:20Z"), "c": runs("1970-01-01T00:00:20Z")},
    ),
    "it waits while they do": (
        subject(), PodReport((said("a", Waiting("ErrImagePull", "no")),)), "b",
        {"a": waits("ErrImagePull", "no"), "b": waits("ContainerCreating")},
    ),
    "8: before the startup probe": (
        subject("a"), PodReport((said("a", Running(10.0)),)), "",
        {"a": waits("NotReady", "running since 1970-01-01T00:00:10Z, the startup probe has not succeeded")},
    ),
    "8: before the readiness probe": (
        subject("a"), PodReport((said("a", Running(10.0), started=True),)), "",
        {"a": waits("NotReady", "running since 1970-01-01T00:00:10Z, the readiness probe has not succeeded")},
    ),
    "8: with the backend's own words": (
        subject("a"), PodReport((said("a", Running(10.0), message="refused"),)), "",
        {"a": waits("NotReady", "running since 1970-01-01T00:00:10Z, refused")},
    ),
    "9: the last to end waits, and what stays in the cluster does not count": (
        subject("a", "b", "c"), PodReport((said("a", Terminated(3, finished_at=2.0)), said("b", Terminated(0, finished_at=1.0)))), "c",
        {"a": waits("Completing", COMPLETING.format(3)), "b": ends(0, finishedAt="1970-01-01T00:00:01Z"), "c": waits("ContainerCreating")},
    ),
    "5: a failed init waits, and so do those behind it": (
        subject("a", inits=("i", "k")), PodReport((said("a", WAITING),), (said("i", Terminated(2)), said("k", WAITING))), "",
        {"i": waits("Completing", COMPLETING.format(2)), "k": waits("PodInitializing"), "a": waits("PodInitializing")},
    ),
    "7: those that wait say what holds a sidecar up": (
        subject("a", "b", inits=("i",)), PodReport((said("a", Waiting("X", "own words")), ok("b")), (said("i", WAITING), SIDECAR)), "",
        {"i": waits("PodInitializing", TROUBLE), "a": waits("X", f"own words {TROUBLE}"), "b": runs()},
    ),
    "an init container that stays in the cluster has ended when a later one starts": (
        subject("a", inits=("i", "k", "l")), PodReport((said("a", WAITING),), (said("k", Running(10.0)),)), "il",
        {"i": ends(0), "k": runs(), "l": waits("PodInitializing"), "a": waits("PodInitializing")},
    ),
    "a failed one after it does not count as started": (
        subject("a", inits=("i", "k")), PodReport((said("a", WAITING),), (said("k", Terminated(1)),)), "i",
        {"i": waits("PodInitializing"), "k": waits("Completing", COMPLETING.format(1)), "a": waits("PodInitializing")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIVE)
def test_whole_states_of_a_pod_that_lives(case: str) -> None:
    who, report, mirrored, expected = ALIVE[case]
    entry = json.loads(compose(who, report, not_offloaded=frozenset(mirrored)).wire)
    assert {status["name"]: status["state"] for status in entry["initContainers"] + entry["containers"]} == expected


def test_a_whole_entry() -> None:
    last = Terminated(1, "Error", "first try", 1.0, 2.0, "x://1")
    report = PodReport((ok("a", last_state=last, restart_count=1, image="i", image_id="sha", container_id="x://2"),))
    assert json.loads(compose(subject("a"), report).wire) == {
        "name": "n",
        "UID": "u",
        "namespace": "ns",
        "JID": "j",
        "initContainers": [],
        "containers": [
            {
                "name": "a",
                "state": {"running": {"startedAt": "1970-01-01T00:00:10Z"}},
                "lastState": {
                    "terminated": {
                        "exitCode": 1,
                        "reason": "Error",
                        "message": "first try",
                        "startedAt": "1970-01-01T00:00:01Z",
                        "finishedAt": "1970-01-01T00:00:02Z",
                        "containerID": "x://1",
                    }
                },
                "ready": True,
                "started": True,
                "restartCount": 1,
                "image": "i",
                "imageID": "sha",
                "containerID": "x://2",
            }
        ],
    }


def message(report: PodReport | None, **options: Any) -> str:
    ((_, fields),) = json.loads(compose(subject("a"), report, **options).wire)["containers"][0]["state"].items()
    return str(fields["message"])


def test_messages_carry_cause_warnings_and_outage() -> None:
    oom = PodReport((said("a", Terminated(137, "OOMKilled", "over 64 MiB")),), finished=True)
    assert message(oom, warnings=("w.",), notice="down.") == "OOMKilled: over 64 MiB w."
    assert message(PodReport((said("a", Terminated(1, "Error", "own words")),), finished=True)) == "own words"
    assert message(PodReport((said("a", Waiting("ErrImagePull", "no.")),)), warnings=("w.",), notice="down.") == "no. down. w."
    assert message(None, warnings=("w.",), notice="down.") == "down. w."
    assert message(PodReport((said("a", Waiting("X", "bad \ud800")),))) == "bad ?"
    unready = PodReport((said("a", Running(10.0), started=True, message="Readiness probe failed: refused"),))
    assert message(unready) == "running since 1970-01-01T00:00:10Z, Readiness probe failed: refused"
    sidecar = PodReport((said("a", WAITING),), (said("proxy", Waiting("ErrImagePull", "no such image")),))
    assert message(sidecar) == "sidecar proxy: ErrImagePull: no such image"


TIMES = st.floats(0, 4e9) | st.none()
WORDS = st.sampled_from(["", "why"])
REASONS = st.sampled_from(["", "Error", "OOMKilled", "DeadlineExceeded"])
TERMINATED = st.builds(Terminated, st.integers(0, 255), REASONS, WORDS, TIMES, TIMES)
STATES = st.one_of(TERMINATED, st.builds(Running, st.floats(0, 4e9)), st.builds(Waiting, WORDS, WORDS))
PARTS = st.dictionaries(st.sampled_from(["a", "b", "i", "k", "proxy"]), st.tuples(STATES, st.booleans()))


@given(rounds=st.lists(st.tuples(PARTS, st.booleans()), min_size=1, max_size=4), mirrored=st.sampled_from(["", "b", "i", "b,i"]))
def test_no_report_ever_crashes_the_kubelet_or_ends_a_pod_that_has_not(rounds: list[Any], mirrored: str) -> None:
    names = ["a", "b"], ["i", "proxy", "k"]
    annotations = {"interlink.eu/disable-offload-containers": mirrored} if mirrored else {}
    spec = {
        "restartPolicy": "Never",
        "containers": [{"name": n, "image": "x"} for n in names[0]],
        "initContainers": [{"name": n, "image": "x", **({"restartPolicy": "Always"} if n == "proxy" else {})} for n in names[1]],
    }
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "n", "annotations": annotations}, "spec": spec}
    pod = VirtualPod.admit(from_documents([document]), now=0)
    record = PodRecord(pod.uid, "default", "n", Intent.ACTIVE, "j")
    registry = Registry(BackendState("b", float), ContactClock(), pods={pod.uid: record}, recovered=True)
    for parts, finished in rounds:
        reports = {n: said(n, s, ready=ready, started=ready, image="x", container_id="c") for n, (s, ready) in parts.items()}
        record.observed(
            PodReport(tuple(reports[n] for n in names[0] if n in reports), tuple(reports[n] for n in names[1] if n in reports), finished),
            now=0.0,
        )
        for _ in range(2):
            judge_status(pod, answer(registry, parse_status(json.dumps(pod.status_body()).encode())))
        assert not pod.ended or finished
        if finished:
            assert pod.ended
            return
        _restart_in_an_outage(pod, registry)


def _restart_in_an_outage(pod: VirtualPod, registry: Registry) -> None:
    """Before the backend has told of the pod again, nothing of it changes but words on the outage, and they are there once."""
    record = registry.pods[pod.uid]
    before = states_without_messages(pod)
    record.is_restored = True
    for outage in range(3):
        if outage != 1:
            registry.backend.back()
            registry.backend.lost()
        judge_status(pod, answer(registry, parse_status(json.dumps(pod.status_body()).encode())))
        assert states_without_messages(pod) == before
        assert all(text.count("unreachable") <= 1 for text in json.dumps(pod.status).split("{"))
    record.is_restored = False
    registry.backend.back()


def states_without_messages(pod: VirtualPod) -> Any:
    status = json.loads(json.dumps(pod.status))
    for entry in (status.get("containerStatuses") or []) + (status.get("initContainerStatuses") or []):
        entry["state"].get("waiting", {}).pop("message", None)
    return status


def test_a_failed_init_is_held_back_until_all_inits_were_seen() -> None:
    pod = make_pod(inits={"i": Script(), "k": Script()})
    report = PodReport((said("main", Terminated(1)),), (said("i", Terminated(0)), said("k", Terminated(4))), finished=True)
    record = PodRecord(pod.uid, "default", "p", Intent.ACTIVE, "j", report=report)
    registry = Registry(BackendState("b", float), ContactClock(), pods={pod.uid: record}, recovered=True)

    def ask() -> bytes:
        return answer(registry, parse_status(json.dumps(pod.status_body()).encode()))

    held = shown(json.dumps(json.loads(ask())[0]).encode())
    assert held == {"i": "waiting PodInitializing", "k": "waiting PodInitializing", "main": "waiting PodInitializing"}
    judge_status(pod, ask())
    assert pod.phase == "Pending"
    judge_status(pod, ask())
    assert pod.phase == "Failed"


def test_an_unchanged_pod_is_answered_with_the_same_bytes() -> None:
    pod = make_pod()
    record = PodRecord(pod.uid, "default", "p", Intent.ACTIVE, "j", report=PodReport((ok("main"),)))
    registry = Registry(BackendState("b", float), ContactClock(), pods={pod.uid: record}, recovered=True)
    asked = parse_status(json.dumps(pod.status_body()).encode())
    answer(registry, asked)
    first = record.cached
    answer(registry, asked)
    assert record.cached is first
    registry.backend.lost()
    answer(registry, asked)
    assert record.cached is not first
    twice = json.loads(answer(registry, asked * 2))
    assert [entry["UID"] for entry in twice] == [pod.uid] * 2


def test_everything_waiting_keeps_the_reason() -> None:
    assert shown(compose_waiting(subject("a", inits=("i",)), "ContainerStatusUnknown")) == {
        "i": "waiting ContainerStatusUnknown",
        "a": "waiting ContainerStatusUnknown",
    }
