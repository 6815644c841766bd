"""The lifecycle table: pods that run a few words of shell, and how each must end. One table for every runtime.

A case runs on the fake runtime in virtual time, and on real ones (Docker, podrunner's) with the same commands: any image
with a POSIX `sh` does. Facts are read from the reports alone, so a case holds for whatever carries the pod.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from interlink_common.agent.agent import NodeAgent
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import ContainerReport, PodReport, Terminated, Waiting
from interlink_common.model.workload import Container, EmptyDirVolume, ExecAction, Mount, Probe, Workload

SHORT = Timing(backoff_first_seconds=0.2, backoff_limit_seconds=1.0, minimum_grace_seconds=0.5, kill_again_seconds=2.0)

WORK = (Mount("work", "/work"),)
"""Every container of a case sees the emptyDir `work` at /work."""


@dataclass(frozen=True)
class LifecycleCase:
    """`delete_when`: the pod is deleted once that container has started.

    Expectations: exit codes, restart counts, words of the message and reason by container; `before`: pairs of (container,
    "start" or "end") of their last attempts; `never_ran`: containers without a start time; `waiting`: reasons seen on the way.
    """

    name: str
    pod: Workload
    exits: Mapping[str, int]
    restarts: Mapping[str, int] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    before: Sequence[tuple[tuple[str, str], tuple[str, str]]] = ()
    never_ran: Sequence[str] = ()
    waiting: frozenset[str] = frozenset()
    delete_when: str = ""
    fake_only: bool = False

    def with_image(self, image: str) -> LifecycleCase:
        """The case with every container on that image."""

        def on_image(containers: Sequence[Container]) -> tuple[Container, ...]:
            return tuple(replace(container, image=image) for container in containers)

        pod = replace(self.pod, containers=on_image(self.pod.containers), init_containers=on_image(self.pod.init_containers))
        return replace(self, pod=pod)


def sh(name: str, text: str, **fields: object) -> Container:
    """A container that runs `sh -c text`."""
    container = Container(name=name, image="busybox:1", command=("sh", "-c", text), mounts=WORK)
    return replace(container, **fields)  # type: ignore[arg-type]  # the fields' own types are checked by the cases that fail


def pod(name: str, *containers: Container, inits: Sequence[Container] = (), policy: str = "Never", **fields: object) -> Workload:
    workload = Workload(
        uid=f"uid-{name}",
        name=name,
        namespace="cases",
        containers=containers,
        init_containers=tuple(inits),
        volumes=(EmptyDirVolume("work"),),
        restart_policy=policy,
        grace_seconds=5,
    )
    return replace(workload, **fields)  # type: ignore[arg-type]  # see sh


def probe(text: str, *, failures: int = 1, delay: int = 0) -> Probe:
    return Probe(
        ExecAction(("sh", "-c", text)), period_seconds=1, timeout_seconds=2, failure_threshold=failures, initial_delay_seconds=delay
    )


SERVE = "trap 'exit 0' TERM; sleep 600 & wait"
"""A server: it exits with 0 at TERM."""
ONCE_FAILING = "test -e /work/tried && exit 0; touch /work/tried; exit 7"

CASES: tuple[LifecycleCase, ...] = (
    LifecycleCase("succeeds", pod("succeeds", sh("main", "exit 0")), {"main": 0}, reasons={"main": "Completed"}),
    LifecycleCase(
        "fails-with-message",
        pod("fails-with-message", sh("main", "echo no such dataset > /dev/termination-log; exit 3")),
        {"main": 3},
        reasons={"main": "Error"},
        says={"main": "no such dataset"},
    ),
    LifecycleCase(
        "two-mains-one-fails",
        pod("two-mains-one-fails", sh("quick", "exit 2"), sh("slow", "sleep 1")),
        {"quick": 2, "slow": 0},
        before=((("quick", "end"), ("slow", "end")),),
    ),
    LifecycleCase(
        "inits-in-order",
        pod("inits-in-order", sh("main", "test -e /work/b"), inits=(sh("a", "touch /work/a"), sh("b", "test -e /work/a && touch /work/b"))),
        {"a": 0, "b": 0, "main": 0},
        before=((("a", "end"), ("b", "start")), (("b", "end"), ("main", "start"))),
    ),
    LifecycleCase(
        "failed-init-fails-the-pod",
        pod("failed-init-fails-the-pod", sh("main", "exit 0"), inits=(sh("a", "exit 4"), sh("b", "exit 0"))),
        {"a": 4, "b": 1, "main": 1},
        never_ran=("b", "main"),
        says={"main": "init container a failed with exit code 4"},
    ),
    LifecycleCase(
        "failing-init-is-retried",
        pod("failing-init-is-retried", sh("main", "exit 0"), inits=(sh("a", ONCE_FAILING),), policy="OnFailure"),
        {"a": 0, "main": 0},
        restarts={"a": 1},
        before=((("a", "end"), ("main", "start")),),
    ),
    LifecycleCase(
        "on-failure-restarts-until-success",
        pod(
            "on-failure-restarts-until-success",
            sh("main", "test -e /work/2 && exit 0; test -e /work/1 && touch /work/2; touch /work/1; exit 1"),
            policy="OnFailure",
        ),
        {"main": 0},
        restarts={"main": 2},
        waiting=frozenset({"CrashLoopBackOff"}),
    ),
    LifecycleCase(
        "always-restarts-after-success-until-the-deadline",
        pod("always-restarts-after-success-until-the-deadline", sh("main", "exit 0"), policy="Always", active_deadline_seconds=3),
        {"main": 137},
        reasons={"main": "DeadlineExceeded"},
        says={"main": "DeadlineExceeded"},
        waiting=frozenset({"CrashLoopBackOff"}),
    ),
    LifecycleCase(
        "deadline-fails-a-container-that-ends-with-0",
        pod("deadline-fails-a-container-that-ends-with-0", sh("main", SERVE), sh("done", "exit 0"), active_deadline_seconds=6),
        {"main": 137, "done": 0},
        says={"main": "DeadlineExceeded"},
    ),
    LifecycleCase(
        "deadline-in-an-init",
        pod("deadline-in-an-init", sh("main", "exit 0"), inits=(sh("a", SERVE),), active_deadline_seconds=1),
        {"a": 137, "main": 137},
        never_ran=("main",),
        says={"main": "DeadlineExceeded"},
    ),
    LifecycleCase(
        "sidecar-outlives-the-main-and-never-fails-the-pod",
        pod(
            "sidecar-outlives-the-main-and-never-fails-the-pod",
            sh("main", "sleep 1"),
            inits=(sh("side", "trap 'exit 9' TERM; sleep 600 & wait", sidecar=True),),
        ),
        {"side": 9, "main": 0},
        before=((("side", "start"), ("main", "start")), (("main", "end"), ("side", "end"))),
    ),
    LifecycleCase(
        "sidecars-stop-in-reverse",
        pod(
            "sidecars-stop-in-reverse",
            sh("main", "sleep 1"),
            inits=(sh("first", SERVE, sidecar=True), sh("between", "exit 0"), sh("second", SERVE, sidecar=True)),
        ),
        {"first": 0, "between": 0, "second": 0, "main": 0},
        before=(
            (("first", "start"), ("between", "start")),
            (("between", "end"), ("second", "start")),
            (("second", "end"), ("first", "end")),
        ),
    ),
    LifecycleCase(
        "startup-probe-of-a-sidecar-gates",
        pod(
            "startup-probe-of-a-sidecar-gates",
            sh("main", "test -e /work/up"),
            inits=(
                sh(
                    "side",
                    "trap 'exit 0' TERM; sleep 1; touch /work/up; sleep 600 & wait",
                    sidecar=True,
                    startup_probe=probe("test -e /work/up", failures=30),
                ),
            ),
        ),
        {"side": 0, "main": 0},
    ),
    LifecycleCase(
        "sidecar-is-restarted",
        pod(
            "sidecar-is-restarted",
            sh("main", "sleep 3"),
            inits=(sh("side", "trap 'exit 0' TERM; test -e /work/x && sleep 600 & wait; sleep 1; touch /work/x; exit 1", sidecar=True),),
        ),
        {"main": 0, "side": 0},
        restarts={"side": 1},
    ),
    LifecycleCase(
        "liveness-failure-restarts",
        pod(
            "liveness-failure-restarts",
            sh("main", f"test -e /work/second && exit 0; touch /work/second; {SERVE}", liveness_probe=probe("false", delay=4)),
            policy="OnFailure",
        ),
        {"main": 0},
        restarts={"main": 1},
    ),
    LifecycleCase(
        "liveness-failure-under-never-ends-the-pod",
        pod(
            "liveness-failure-under-never-ends-the-pod",
            sh("main", "trap 'exit 5' TERM; sleep 600 & wait", liveness_probe=probe("echo sick; false", delay=1)),
        ),
        {"main": 5},
        restarts={"main": 0},
        says={"main": "liveness probe"},
    ),
    LifecycleCase(
        "post-start-runs",
        pod(
            "post-start-runs",
            sh("main", "sleep 2; test -e /work/hook", post_start=ExecAction(("sh", "-c", "touch /work/hook"))),
        ),
        {"main": 0},
    ),
    LifecycleCase(
        "post-start-failure-kills",
        pod(
            "post-start-failure-kills",
            sh("main", "trap 'exit 6' TERM; sleep 600 & wait", post_start=ExecAction(("sh", "-c", "sleep 1; false"))),
        ),
        {"main": 6},
        says={"main": "PostStartHookError"},
    ),
    LifecycleCase(
        "delete-runs-pre-stop-then-term",
        pod(
            "delete-runs-pre-stop-then-term",
            sh(
                "main",
                "trap 'exit 8' TERM; touch /work/ready; sleep 600 & wait",
                pre_stop=ExecAction(("sh", "-c", "touch /work/stopping")),
                startup_probe=probe("test -e /work/ready", failures=30),
            ),
        ),
        {"main": 8},
        delete_when="main",
    ),
    LifecycleCase(
        "delete-kills-what-ignores-term",
        pod(
            "delete-kills-what-ignores-term",
            sh("main", "trap '' TERM; touch /work/ready; sleep 600", startup_probe=probe("test -e /work/ready", failures=30)),
            grace_seconds=1,
        ),
        {"main": 137},
        delete_when="main",
    ),
    LifecycleCase(
        "oom", pod("oom", sh("main", "oom")), {"main": 137}, reasons={"main": "OOMKilled"}, says={"main": "OOMKilled"}, fake_only=True
    ),
)


async def run_case(case: LifecycleCase, agent: NodeAgent) -> list[PodReport]:
    """Adds the case's pod to an agent that has no other, and returns its reports in order, the last one the end. Removes the pod."""
    agent.add(case.pod)
    reports: list[PodReport] = []
    removal: asyncio.Task[None] | None = None
    async for _, report in agent.reports():
        reports.append(report)
        if report.finished:
            break
        entries = {entry.name: entry for entry in (*report.init_containers, *report.containers)}
        if removal is None and case.delete_when and entries[case.delete_when].started:
            removal = asyncio.create_task(agent.remove(case.pod.uid, case.pod.grace_seconds))
    await (removal or agent.remove(case.pod.uid, 0))
    return reports


def shortfalls(case: LifecycleCase, reports: Sequence[PodReport]) -> list[str]:
    """What is wrong with the way the pod went, in sentences; `reports` are all in order, the last one the end."""
    last = reports[-1]
    entries = {entry.name: entry for entry in (*last.init_containers, *last.containers)}
    wrong = [] if last.finished else ["the pod did not finish"]
    wrong += [f"{name} exited with {_exit(entries[name])}, not {code}" for name, code in case.exits.items() if _exit(entries[name]) != code]
    for name, count in case.restarts.items():
        if entries[name].restart_count != count:
            wrong.append(f"{name} was restarted {entries[name].restart_count} times, not {count}")
    for name, words in case.says.items():
        if words not in _ended(entries[name]).message:
            wrong.append(f"{name} does not say {words!r} but {_ended(entries[name]).message!r}")
    for name, reason in case.reasons.items():
        if _ended(entries[name]).reason != reason:
            wrong.append(f"{name} ended with reason {_ended(entries[name]).reason}, not {reason}")
    wrong += [f"{name} ran" for name in case.never_ran if _ended(entries[name]).started_at is not None]
    for earlier, later in case.before:
        if not _time(entries, *earlier) <= _time(entries, *later):
            wrong.append(f"{earlier} is not before {later}")
    states = [entry.state for report in reports for entry in (*report.init_containers, *report.containers)]
    missing = case.waiting - {state.reason for state in states if isinstance(state, Waiting)}
    return wrong + [f"never waited with {reason}" for reason in sorted(missing)]


def _ended(entry: ContainerReport) -> Terminated:
    return entry.state if isinstance(entry.state, Terminated) else Terminated(-1, "NotTerminated")


def _exit(entry: ContainerReport) -> int:
    return _ended(entry).exit_code


def _time(entries: Mapping[str, ContainerReport], name: str, edge: str) -> float:
    ended = _ended(entries[name])
    moment = ended.started_at if edge == "start" else ended.finished_at
    return float("nan") if moment is None else moment
