"""Single decisions, compared whole: what is seen and remembered on the left, actions and states on the right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.lifecycle.decide import decide
from interlink_common.lifecycle.interface import (
    SANDBOX,
    Action,
    AttemptStatus,
    CheckStorage,
    EnsureImage,
    Kill,
    Outcome,
    Prepare,
    Prune,
    RunHook,
    RunProbe,
    StartAttempt,
)
from interlink_common.lifecycle.memory import (
    ContainerTermination,
    PodMemory,
    PodTermination,
    PostStart,
    ProbeState,
    from_checkpoint,
    to_checkpoint,
)
from interlink_common.lifecycle.outcomes import learn
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import ContainerState, Running, Terminated, Waiting
from interlink_common.model.workload import EmptyDirVolume, ExecAction, Workload
from interlink_common.testing.lifecycle_cases import pod, probe, sh

NOW = 1000.0
HOOK = ExecAction(("true",))
PREPARED = PodMemory(prepared=True)


def running(name: str, attempt: int = 0, started_at: float = 900.0) -> AttemptStatus:
    return AttemptStatus(name, attempt, "running", started_at=started_at)


def exited(name: str, code: int = 0, attempt: int = 0, **fields: object) -> AttemptStatus:
    seen = AttemptStatus(name, attempt, "exited", started_at=900.0, finished_at=NOW - 1, exit_code=code)
    return replace(seen, **fields)  # type: ignore[arg-type]  # fields of any type pass through


MAIN = sh("main", "")
PLAIN = pod("p", MAIN)
WITH_INITS = pod("p", MAIN, inits=(sh("a", ""), sh("b", "")))
WITH_SIDECAR = pod("p", MAIN, inits=(sh("side", "", sidecar=True), sh("b", "")))
TWO_SIDECARS = pod("p", MAIN, inits=(sh("one", "", sidecar=True), sh("two", "", sidecar=True)))


@pytest.mark.parametrize(
    ("workload", "memory", "seen", "actions"),
    [
        pytest.param(PLAIN, PodMemory(), (), (Prepare(),), id="first the pod is prepared"),
        pytest.param(PLAIN, PREPARED, (), (EnsureImage("main", 0),), id="then the image"),
        pytest.param(PLAIN, replace(PREPARED, images=frozenset({("main", 0)})), (), (StartAttempt("main", 0, 0),), id="then the start"),
        pytest.param(PLAIN, replace(PREPARED, in_flight=frozenset({EnsureImage("main", 0)})), (), (), id="nothing twice at once"),
        pytest.param(PLAIN, PREPARED, (AttemptStatus("main", 0, "created"),), (EnsureImage("main", 0),), id="created is not started"),
        pytest.param(PLAIN, PREPARED, (running("main"),), (), id="a running pod is left alone"),
        pytest.param(WITH_INITS, PREPARED, (), (EnsureImage("a", 0),), id="only the first init"),
        pytest.param(WITH_INITS, PREPARED, (exited("a"),), (EnsureImage("b", 0),), id="the next init"),
        pytest.param(WITH_INITS, PREPARED, (exited("a"), exited("b")), (EnsureImage("main", 0),), id="mains after all inits"),
        pytest.param(WITH_INITS, PREPARED, (running("main"),), (), id="inits that somebody pruned do not run again"),
        pytest.param(WITH_SIDECAR, PREPARED, (running("side"),), (EnsureImage("b", 0),), id="a started sidecar opens the gate"),
        pytest.param(
            WITH_SIDECAR, PREPARED, (exited("side", 1), running("b")), (EnsureImage("side", 1),), id="a sidecar is restarted at once"
        ),
        pytest.param(
            TWO_SIDECARS,
            PREPARED,
            (running("one"), running("two"), exited("main")),
            (Kill("two", 0, "TERM"),),
            id="sidecars stop after the mains, the last first",
        ),
        pytest.param(
            TWO_SIDECARS,
            PREPARED,
            (running("one"), exited("two"), exited("main")),
            (Kill("one", 0, "TERM"),),
            id="then the one before",
        ),
        pytest.param(
            WITH_SIDECAR, PREPARED, (running("side"), exited("b", 3)), (Kill("side", 0, "TERM"),), id="a failed init ends the sidecars"
        ),
        pytest.param(
            replace(TWO_SIDECARS, containers=(sh("main", "", pre_stop=HOOK),)),
            replace(PREPARED, termination=PodTermination("Deleted", "", NOW, 0)),
            (running("one"), running("two"), running("main")),
            (Kill("one", 0, "KILL"), Kill("two", 0, "KILL"), Kill("main", 0, "KILL")),
            id="no grace: KILL to all, no hook",
        ),
        pytest.param(
            pod("p", sh("main", "", post_start=HOOK, liveness_probe=probe("true"))),
            PREPARED,
            (running("main"),),
            (RunHook("main", 0, "postStart"),),
            id="postStart before probes",
        ),
        pytest.param(
            pod("p", sh("main", "", startup_probe=probe("true"), liveness_probe=probe("true"))),
            PREPARED,
            (running("main"),),
            (RunProbe("main", 0, "startup"),),
            id="the startup probe holds the others back",
        ),
        pytest.param(
            pod("p", sh("main", "", readiness_probe=probe("true"), liveness_probe=probe("true", delay=200))),
            PREPARED,
            (running("main"),),
            (RunProbe("main", 0, "readiness"),),
            id="initialDelaySeconds counts from the start",
        ),
        pytest.param(
            replace(PLAIN, volumes=(EmptyDirVolume("work", size_limit_bytes=1),)),
            PREPARED,
            (running("main"),),
            (CheckStorage(),),
            id="limited storage is measured",
        ),
        pytest.param(
            replace(PLAIN, restart_policy="Always"),
            PREPARED,
            (exited("main", 1, 0), exited("main", 1, 1), running("main", 2)),
            (Prune("main", 1),),
            id="the newest two attempts stay",
        ),
        pytest.param(
            PLAIN,
            PREPARED,
            (running("main"), AttemptStatus(SANDBOX, 0, "exited")),
            (Kill("main", 0, "KILL"),),
            id="no life without a sandbox",
        ),
        pytest.param(PLAIN, PREPARED, (exited("main"),), (), id="the end"),
        pytest.param(PLAIN, PREPARED, (running("stranger"),), (EnsureImage("main", 0),), id="a container of no name of ours"),
    ],
)
def test_actions(workload: Workload, memory: PodMemory, seen: tuple[AttemptStatus, ...], actions: tuple[Action, ...]) -> None:
    assert decide(workload, memory, seen, NOW).actions == actions


OOM = exited("main", 137, oom_killed=True, message="last words")


@pytest.mark.parametrize(
    ("workload", "memory", "seen", "state"),
    [
        pytest.param(PLAIN, PodMemory(), (), Waiting("ContainerCreating"), id="new"),
        pytest.param(WITH_INITS, PodMemory(), (), Waiting("PodInitializing", "waiting for init container a"), id="new with inits"),
        pytest.param(PLAIN, PREPARED, (running("main"),), Running(900.0), id="running"),
        pytest.param(
            PLAIN, PREPARED, (exited("main", 3, message="why"),), Terminated(3, "Error", "why", 900.0, NOW - 1), id="its own message"
        ),
        pytest.param(
            PLAIN,
            PREPARED,
            (OOM,),
            Terminated(137, "OOMKilled", "OOMKilled: the container used more memory than its limit: last words", 900.0, NOW - 1),
            id="out of memory is in the message",
        ),
        pytest.param(
            PLAIN, PREPARED, (replace(OOM, exit_code=0),), Terminated(0, "Completed", "last words", 900.0, NOW - 1), id="a child only"
        ),
        pytest.param(PLAIN, PREPARED, (exited("main", finished_at=None),), Terminated(0, "Completed", "", 900.0, NOW), id="no end time"),
        pytest.param(PLAIN, PREPARED, (exited("main", exit_code=None),), Terminated(137, "Error", "", 900.0, NOW - 1), id="no exit code"),
        pytest.param(
            WITH_INITS,
            PREPARED,
            (exited("a", 3, message="disk full"),),
            Terminated(1, "Error", "the container never ran: init container a failed with exit code 3: disk full"),
            id="why a main never ran",
        ),
        pytest.param(
            replace(PLAIN, restart_policy="Always"),
            PREPARED,
            (exited("main", 0, 1),),
            Waiting("CrashLoopBackOff", "back-off 10s restarting failed container=main pod=p_cases(uid-p)"),
            id="between two runs",
        ),
    ],
)
def test_state_of_the_main(workload: Workload, memory: PodMemory, seen: tuple[AttemptStatus, ...], state: ContainerState) -> None:
    assert decide(workload, memory, seen, NOW).report.containers[0].state == state


PROBED = sh("main", "", post_start=HOOK, startup_probe=probe("true"), readiness_probe=probe("true"))
STARTED = replace(PREPARED, post_starts={"main": PostStart(0)}, probes={("main", "startup"): ProbeState(0, 0.0, 1, True, True)})


def readiness(**result: object) -> PodMemory:
    return replace(STARTED, probes={**STARTED.probes, ("main", "readiness"): replace(ProbeState(0, NOW + 1), **result)})  # type: ignore[arg-type]  # as exited


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (PREPARED, "the postStart hook has not ended"),
        (replace(STARTED, probes={}), "the startup probe has not succeeded"),
        (STARTED, "the readiness probe has not succeeded"),
        (readiness(run=1, last=False, passed=False, message="exit code 1: down"), "Readiness probe failed: exit code 1: down"),
        (readiness(run=1, last=True, passed=False), "the readiness probe has not succeeded"),
        (readiness(run=1, last=False, passed=True, message="the first of three"), ""),
        (readiness(run=1, last=True, passed=True), ""),
        (
            replace(readiness(run=1, last=True, passed=True), termination=PodTermination("Deleted", "the pod was deleted", NOW, 5)),
            "Stopping container main: Deleted: the pod was deleted",
        ),
    ],
)
def test_why_a_running_container_is_not_ready(memory: PodMemory, words: str) -> None:
    entry = decide(pod("p", PROBED), memory, (running("main"),), NOW).report.containers[0]
    assert (entry.message, entry.ready) == (words, not words)


def test_a_failed_pull_of_an_init_is_told_by_the_mains() -> None:
    memory = replace(PREPARED, in_flight=frozenset({EnsureImage("a", 0)}))
    outcome = Outcome(EnsureImage("a", 0), ok=False, reason="ErrImagePull", message="no such host")
    memory = learn(WITH_INITS, memory, outcome, NOW, Timing())
    early, late = (decide(WITH_INITS, memory, (), NOW + seconds).report for seconds in (1, 6))
    assert early.init_containers[0].state == Waiting("ErrImagePull", "no such host")
    words = "Back-off pulling image busybox:1: ErrImagePull: no such host"
    assert late.init_containers[0].state == Waiting("ImagePullBackOff", words)
    assert late.containers[0].state == Waiting("PodInitializing", f"waiting for init container a: ImagePullBackOff: {words}")


def test_wake_at_is_the_earliest_of_what_is_due() -> None:
    workload = replace(pod("p", sh("main", "", liveness_probe=probe("true", delay=150))), active_deadline_seconds=500)
    assert decide(workload, PREPARED, (running("main"),), NOW).wake_at == 1050
    assert decide(PLAIN, PREPARED, (running("main"),), NOW).wake_at is None


def test_a_sidecar_whose_turn_never_comes_is_ended_at_the_end_of_the_grace() -> None:
    seen = (running("side"), running("main"), exited("b"))
    memory = replace(PREPARED, termination=PodTermination("Deleted", "gone", NOW, 30))
    first = decide(WITH_SIDECAR, memory, seen, NOW)
    assert first.actions == (Kill("main", 0, "TERM"),)
    after = learn(WITH_SIDECAR, first.memory, Outcome(first.actions[0]), NOW, Timing())
    assert decide(WITH_SIDECAR, after, seen, NOW + 30).actions == (Kill("side", 0, "TERM"), Kill("main", 0, "KILL"))


attempts = st.builds(
    AttemptStatus,
    container=st.sampled_from(["main", "side"]),
    attempt=st.integers(0, 5),
    state=st.sampled_from(["created", "running", "exited"]),
    finished_at=st.none() | st.floats(0, 1e10),
    exit_code=st.none() | st.integers(0, 255),
    message=st.text(max_size=20),
)
container_terminations = st.builds(
    ContainerTermination, attempt=st.integers(0, 5), since=st.floats(0, 1e10), deadline=st.floats(0, 1e10), message=st.text(max_size=9)
)


@given(
    st.builds(
        PodMemory,
        started_at=st.none() | st.floats(0, 1e10),
        adopted=st.booleans(),
        finished=st.booleans(),
        termination=st.none() | st.builds(PodTermination, st.text(max_size=9), st.text(max_size=9), st.floats(0, 1e10), st.floats(0, 1e5)),
        attempts=st.lists(attempts, max_size=3).map(tuple),
        container_terminations=st.dictionaries(st.text(max_size=5), container_terminations, max_size=2),
        post_starts=st.dictionaries(st.text(max_size=5), st.builds(PostStart, st.integers(0, 5), st.text(max_size=9)), max_size=2),
    )
)
def test_memory_survives_json(memory: PodMemory) -> None:
    assert from_checkpoint(to_checkpoint(memory)) == memory


@pytest.mark.parametrize("text", ["{}", "[]", "null", "{", '{"version": 99}', '{"version": 1, "started_at": 1}'])
def test_a_memory_of_somebody_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_checkpoint(text)


def test_no_memory_is_a_new_pod() -> None:
    assert from_checkpoint("") == PodMemory()
