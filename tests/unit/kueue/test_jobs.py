"""A pod as a suspended Job: whole objects, and the Job with its pods read as one pod."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from interlink_common.errors import Refused
from interlink_common.model.report import ContainerReport, Waiting
from interlink_kueue import labels
from interlink_kueue.fate import Fate, decide_fate, must_stop_job
from interlink_kueue.history import ContainerEnd, EndedRun, to_annotation
from interlink_kueue.jobs import JobStore, as_one_pod, job_object, pod_object, queue_labels, read_job
from interlink_kueue.kueue import KueueWorkload
from interlink_kueue.podreader import read_pod
from interlink_kueue.remotepod import RemotePod
from interlink_kueue.states import report
from interlink_kueue.translate import build_objects, choose_target
from tests.unit.kueue.pods import UID, pod, settings

T0, T1 = "2026-11-26T01:00:00Z", "2026-11-26T01:00:05Z"
PREEMPTED = KueueWorkload("w", "q", ("job-uid",), evicted="Preempted", evicted_message="made room")
ADMITTED = KueueWorkload("w", "q", ("job-uid",), admitted=True)
NAME = labels.pod_name(pod(), 0)
OURS = {labels.INSTANCE: "node-1", labels.POD_UID: UID, labels.RUN: "0"}


def job_of(**changes: Any) -> dict[str, Any]:
    """A Job as the API server has it: complete, and held by Kueue."""
    made = job_object(build_objects(pod(restart_policy="Never"), replace(choose_target(pod(), settings()), queue="q"), settings()).pod)
    metadata = {**made["metadata"], "namespace": "ns", "uid": "job-uid", **changes.pop("metadata", {})}
    metadata["labels"] = {**metadata["labels"], labels.QUEUE_NAME: "q"}
    return {**made, "metadata": metadata, "spec": {**made["spec"], **changes.pop("spec", {})}, "status": changes}


def its_pod(name: str, code: int | None = None, *, on_eviction: str = "rerun", **metadata: Any) -> RemotePod:
    """A pod of that Job, running if it has no exit code."""
    state = {"running": {"startedAt": T0}} if code is None else {"terminated": {"exitCode": code, "startedAt": T0, "finishedAt": T1}}
    phase = "Running" if code is None else "Failed" if code else "Succeeded"
    named = {"labels": {**OURS, labels.JOB_NAME: NAME}, "annotations": {labels.ON_EVICTION: on_eviction}}
    where = {"name": name, "namespace": "ns", "uid": f"uid-{name}", "creationTimestamp": name, "finalizers": [labels.FINALIZER]}
    statuses = [{"name": "main", "state": state, "lastState": {}, "ready": code is None, "restartCount": 0, "image": "x", "imageID": ""}]
    spec = {"containers": [{"name": "main", "image": "x"}], "nodeName": "n"}
    return read_pod({"metadata": {**where, **named, **metadata}, "spec": spec, "status": {"phase": phase, "containerStatuses": statuses}})


DELETED: dict[str, Any] = {"deletionTimestamp": T1, "deletionGracePeriodSeconds": 0}


def test_the_whole_job() -> None:
    where = choose_target(pod(restart_policy="Never"), settings(tenants={"*": {"queue": "q", "remote_kind": "job"}}))
    assert where.remote_kind == "job"
    made = build_objects(pod(restart_policy="Never"), where, settings(), earlier_runs=(EndedRun("Preempted", "made room"),))
    assert made.as_job
    template = {
        "metadata": {
            "labels": {**OURS, labels.ROLE: "pod"},
            "annotations": {name: value for name, value in made.pod["metadata"]["annotations"].items() if name != labels.EARLIER_RUNS},
            "finalizers": [labels.FINALIZER],
        },
        "spec": {name: value for name, value in made.pod["spec"].items() if name != "schedulingGates"},
    }
    assert job_object(made.pod) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": NAME,
            "labels": {**OURS, labels.ROLE: "job"},
            "annotations": made.pod["metadata"]["annotations"],
            "finalizers": [],
        },
        "spec": {
            "suspend": True,
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "template": template,
        },
    }
    assert pod_object(job_object(made.pod)) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "generateName": f"{NAME}-", "finalizers": []},
        "spec": template["spec"],
    }
    assert queue_labels(made.pod) == {labels.QUEUE_NAME: "q"}


@pytest.mark.parametrize(
    ("annotation", "fields", "expected"),
    [
        (None, {"restart_policy": "Never"}, "job"),
        (None, {"restart_policy": "Always"}, "pod"),
        ("pod", {"restart_policy": "Never"}, "pod"),
        ("job", {"restart_policy": "Never"}, "job"),
        ("job", {"restart_policy": "OnFailure"}, "to become a Job, a pod needs a queue, no group, and restartPolicy Never"),
        ("cronjob", {"restart_policy": "Never"}, "must be pod or job"),
    ],
)
def test_what_a_pod_becomes(annotation: str | None, fields: dict[str, str], expected: str) -> None:
    chosen = settings(tenants={"*": {"queue": "q", "remote_kind": "job"}}, queues={"remote_kind_annotation": True})
    one = pod(annotations={labels.REMOTE_KIND: annotation} if annotation else {}, **fields)
    if expected in ("pod", "job"):
        assert choose_target(one, chosen).remote_kind == expected
        return
    with pytest.raises(Refused, match=expected):
        choose_target(one, chosen)


def test_the_old_names_of_this_choice_are_refused_with_the_new_ones() -> None:
    with pytest.raises(Refused, match=r"was renamed: write kueue\.interlink\.eu/remote-kind"):
        choose_target(pod(annotations={labels.OLD_REMOTE_KIND: "job"}, restart_policy="Never"), settings())
    with pytest.raises(ValueError, match="carrier was renamed: write remote_kind"):
        settings(tenants={"*": {"carrier": "job"}})


def test_pods_may_not_choose_it_unless_the_operator_lets_them() -> None:
    with pytest.raises(Refused, match="the operator does not let pods choose it"):
        choose_target(pod(annotations={labels.REMOTE_KIND: "job"}, restart_policy="Never"), settings(tenants={"*": {"queue": "q"}}))
    assert choose_target(pod(restart_policy="Never"), settings(tenants={"*": {"remote_kind": "job"}})).remote_kind == "pod", (
        "without a queue"
    )


def test_a_job_that_kueue_holds_waits_in_its_queue() -> None:
    found = as_one_pod(read_job(job_of()), [], None)
    assert (found.name, found.job, found.workload_owner, found.is_complete, found.is_waiting) == (NAME, NAME, "job-uid", True, True)
    assert report(found, None).containers == (
        ContainerReport("main", Waiting("Queued", "queue q: Kueue has not taken the pod up yet"), image="busybox:1.36"),
    )


def test_without_its_queues_label_a_job_is_incomplete() -> None:
    made = job_of()
    del made["metadata"]["labels"][labels.QUEUE_NAME]
    assert not as_one_pod(read_job(made), [], None).is_complete


def test_a_running_job_is_its_pod() -> None:
    one = its_pod("a")
    assert as_one_pod(read_job(job_of(spec={"suspend": False})), [one], None) == replace(one, queue="q", workload_owner="job-uid")


def test_an_end_counts_when_the_job_says_so() -> None:
    one = its_pod("a", 3)
    running = as_one_pod(read_job(job_of(spec={"suspend": False})), [one], None)
    assert running.phase == "Running"
    assert running.superseded == ()
    assert not report(running, ADMITTED).finished
    failed = as_one_pod(read_job(job_of(spec={"suspend": False}, conditions=[{"type": "Failed", "status": "True"}])), [one], None)
    assert failed.ended_by_itself
    assert report(failed, ADMITTED).finished


def test_a_job_that_ended_without_a_pod_has_its_own_message() -> None:
    ended = {"type": "Failed", "status": "True", "message": "was active too long"}
    (found,) = report(as_one_pod(read_job(job_of(conditions=[ended])), [], None), None).containers
    assert (found.state.exit_code, found.state.message) == (137, "was active too long")  # type: ignore[union-attr]


def evicted_job_store(on_eviction: str = "rerun", code: int = 143) -> JobStore:
    """As the watches show it: the pod runs, is deleted while Kueue says why, has ended; by then Kueue may say something else."""
    store = JobStore(synced=True)
    store.jobs[NAME] = read_job(job_of(metadata={"annotations": {labels.ON_EVICTION: on_eviction}}))
    store.put_pod(its_pod("a", on_eviction=on_eviction), ADMITTED)
    store.put_pod(its_pod("a", on_eviction=on_eviction, **DELETED), PREEMPTED)
    store.put_pod(its_pod("a", code, on_eviction=on_eviction, **DELETED), ADMITTED)
    return store


@pytest.mark.parametrize("code", [0, 143])
def test_an_evicted_pod_counts_for_nothing_and_its_end_is_reported_by_the_next(code: int) -> None:
    store = evicted_job_store(code=code)
    past = EndedRun("Preempted", "made room", (ContainerEnd("main", code, 1795654800.0, 1795654805.0),), {"main": 0}, "uid-a")
    found = store.as_one_pod(NAME, None)
    assert found is not None
    assert (found.is_waiting, found.earlier_runs, [pod.name for pod in found.superseded]) == (True, (past,), ["a"])
    (entry,) = report(found, None).containers
    assert entry.state == Waiting("Queued", "run 2 after Preempted, queue q: Kueue has not taken the pod up yet")
    assert entry.restart_count == 1
    store.jobs[NAME] = read_job(job_of(spec={"suspend": False}, metadata={"annotations": {labels.EARLIER_RUNS: to_annotation((past,))}}))
    store.put_pod(its_pod("b"), ADMITTED)
    found = store.as_one_pod(NAME, None)
    assert found is not None
    assert (found.name, found.earlier_runs, [pod.name for pod in found.superseded]) == ("b", (past,), ["a"])
    store.mark_gone(NAME, "a")
    found = store.as_one_pod(NAME, None)
    assert found is not None
    assert (found.name, found.earlier_runs, found.superseded) == ("b", (past,), ())
    store.drop_recorded_pods(NAME)
    assert list(store.pods[NAME]) == ["b"]
    assert store.as_one_pod(NAME, None) == found


def test_an_end_that_nobody_saw_is_reported_in_kueues_words() -> None:
    """The plugin was away until Kueue had admitted the Job again."""
    pods = [its_pod("a", 143, **DELETED), its_pod("b")]
    job = read_job(job_of(spec={"suspend": False}))
    readmitted = replace(ADMITTED, previously="Previously: made room")
    runs = [as_one_pod(job, pods, kueue_workload).earlier_runs[0] for kueue_workload in (None, readmitted)]
    assert [(run.reason, run.message) for run in runs] == [
        ("Replaced", "its Job has made another pod"),
        ("Replaced", "Previously: made room"),
    ]


def test_where_a_pod_is_not_to_run_twice_the_first_counts() -> None:
    """Kueue may be quicker than we are."""
    store = evicted_job_store("fail")
    found = store.as_one_pod(NAME, None)
    assert found is not None
    assert must_stop_job(found)
    store.put_pod(its_pod("b", on_eviction="fail"), ADMITTED)
    found = store.as_one_pod(NAME, None)
    assert found is not None
    assert (found.name, found.eviction, found.superseded) == ("a", "Preempted", ())
    assert decide_fate(found, gone=False, on_deletion="fail") is Fate.FINAL


def test_a_success_of_an_evicted_pod_is_none() -> None:
    """The Job may have counted it: then another Job runs it again."""
    store = evicted_job_store(code=0)
    store.jobs[NAME] = read_job(job_of(conditions=[{"type": "Complete", "status": "True"}]))
    found = store.as_one_pod(NAME, None)
    assert found is not None
    assert decide_fate(found, gone=False, on_deletion="fail") is Fate.RERUN


def test_what_is_left_of_a_job_that_was_never_seen_is_its_last_pod() -> None:
    store = JobStore(synced=True)
    assert store.as_one_pod(NAME, None) is None
    store.put_pod(its_pod("a", 0, **DELETED), None)
    store.put_pod(its_pod("b"), None)
    assert store.as_one_pod(NAME, None) == its_pod("b")
    store.forget(NAME)
    assert store.as_one_pod(NAME, None) is None
