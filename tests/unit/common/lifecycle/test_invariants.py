"""What holds on every path: hypothesis plays the runtime, the clock, a stranger with `rm`, and crashes of the agent."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from interlink_common.lifecycle.decide import Decision, decide
from interlink_common.lifecycle.interface import Action, AttemptStatus, Kill, Outcome, Prune, StartAttempt
from interlink_common.lifecycle.memory import PodMemory, from_checkpoint, to_checkpoint
from interlink_common.lifecycle.outcomes import learn
from interlink_common.lifecycle.termination import request_deletion
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.report import PodReport, Running, Terminated
from interlink_common.model.workload import Container, EmptyDirVolume, ExecAction, Probe, Workload

TIMING = Timing()
CODES = st.sampled_from([0, 0, 1, 137])
HOOK = ExecAction(("true",))
PROBES = st.sampled_from([None, Probe(HOOK, failure_threshold=1), Probe(HOOK, initial_delay_seconds=3, failure_threshold=2)])


@st.composite
def pods(draw: st.DrawFn) -> Workload:
    def container(name: str, sidecar: bool, may_probe: bool) -> Container:
        return Container(
            name,
            "image",
            sidecar=sidecar,
            startup_probe=draw(PROBES) if may_probe else None,
            liveness_probe=draw(PROBES) if may_probe else None,
            readiness_probe=draw(PROBES) if may_probe else None,
            post_start=draw(st.sampled_from([None, HOOK])) if may_probe else None,
            pre_stop=draw(st.sampled_from([None, HOOK])) if may_probe else None,
        )

    sidecars = draw(st.lists(st.booleans(), max_size=3))
    return Workload(
        uid="uid",
        name="pod",
        namespace="ns",
        init_containers=tuple(container(f"init{i}", sidecar, sidecar) for i, sidecar in enumerate(sidecars)),
        containers=tuple(container(f"main{i}", False, True) for i in range(draw(st.integers(1, 2)))),
        volumes=draw(st.sampled_from([(), (EmptyDirVolume("scratch", size_limit_bytes=1),)])),
        restart_policy=draw(st.sampled_from(["Never", "OnFailure", "Always"])),
        active_deadline_seconds=draw(st.sampled_from([None, None, 60])),
        grace_seconds=draw(st.sampled_from([0, 1, 30])),
    )


class Kubelet(RuleBasedStateMachine):
    """`world` is the truth: attempts by (container, attempt). Decisions follow every change, as the agent does it."""

    @initialize(workload=pods(), adopted=st.sampled_from([False, False, False, True]))
    def begin(self, workload: Workload, adopted: bool) -> None:
        self.pod = workload
        self.adopted = adopted
        self.memory = PodMemory(adopted=adopted)
        self.world: dict[tuple[str, int], AttemptStatus] = {}
        self.succeeded: set[str] = set()
        self.under_way: list[Action] = []
        self.now = 1000.0
        self.last: PodReport | None = None
        self.decision: Decision
        self.step()

    def step(self) -> None:
        self.decision = decide(self.pod, self.memory, tuple(self.world.values()), self.now, TIMING)
        if self.last is not None and self.last.finished:
            assert self.decision.actions == ()
            assert self.decision.report == self.last
        for action in self.decision.actions:
            self.judge(action)
            self.under_way.append(action)
        self.memory, self.last = self.decision.memory, self.decision.report
        if self.memory.finished:
            assert not any(isinstance(action, StartAttempt) for action in self.under_way)
            self.under_way.clear()

    def judge(self, action: Action) -> None:
        assert action not in self.under_way
        if isinstance(action, StartAttempt):
            assert not self.adopted
            assert self.running(action.container) is None
            inits = [c.name for c in self.pod.init_containers]
            before = inits[: inits.index(action.container)] if action.container in inits else inits
            assert {name for name in before if not self.pod.container(name).sidecar} <= self.succeeded
            assert action.container not in self.succeeded or self.pod.restart_policy == "Always" or self.restarted(action.container)

    def restarted(self, name: str) -> bool:
        """Exit code 0 does not end a sidecar, nor what was killed for its probe or hook."""
        termination = self.memory.container_terminations.get(name)
        return self.pod.container(name).sidecar or (termination is not None and termination.restart)

    def running(self, name: str) -> AttemptStatus | None:
        return next((seen for (owner, _), seen in self.world.items() if owner == name and seen.state == "running"), None)

    def carry_out(self, action: Action) -> None:
        if isinstance(action, StartAttempt) and (action.container, action.attempt) not in self.world:
            assert self.running(action.container) is None
            seen = AttemptStatus(action.container, action.attempt, "running", started_at=self.now, backoff_seconds=action.backoff_seconds)
            self.world[action.container, action.attempt] = seen
        elif isinstance(action, Kill) and action.signal == "KILL":
            self.end(action.container, 137)
        elif isinstance(action, Prune):
            for key in [key for key in self.world if key[0] == action.container and key[1] < action.before_attempt]:
                assert self.world[key].state == "exited"
                del self.world[key]

    def end(self, name: str, code: int) -> None:
        seen = self.running(name)
        if seen is not None:
            self.world[name, seen.attempt] = replace(seen, state="exited", exit_code=code, finished_at=self.now)
            if code == 0:
                self.succeeded.add(name)

    def finish(self, action: Action, outcome: Outcome) -> None:
        self.under_way.remove(action)
        self.memory = learn(self.pod, self.memory, outcome, self.now, TIMING)
        self.step()

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), fate=st.sampled_from(["ok", "ok", "ok", "fails", "lost", "lost but done"]))
    def an_action_ends(self, data: st.DataObject, fate: str) -> None:
        action = data.draw(st.sampled_from(self.under_way))
        if fate in ("ok", "lost but done"):
            self.carry_out(action)
        if fate != "fails":
            self.finish(action, Outcome(action, lost=fate != "ok"))
        elif isinstance(action, StartAttempt):
            reason = data.draw(st.sampled_from(["CreateContainerError", "RunContainerError"]))
            self.finish(action, Outcome(action, ok=False, reason=reason, message="no"))
        else:
            self.finish(action, Outcome(action, ok=False, reason="ErrImagePull", message="no"))

    @rule(rounds=st.integers(1, 6))
    def all_goes_well(self, rounds: int) -> None:
        for _ in range(rounds):
            for action in list(self.under_way):
                if action in self.under_way:
                    self.carry_out(action)
                    self.finish(action, Outcome(action))

    @rule(data=st.data(), code=CODES)
    def a_container_exits(self, data: st.DataObject, code: int) -> None:
        alive = [name for (name, _), seen in self.world.items() if seen.state == "running"]
        if alive:
            self.end(data.draw(st.sampled_from(alive)), code)
            self.step()

    @rule(data=st.data())
    def a_stranger_removes(self, data: st.DataObject) -> None:
        if self.world:
            del self.world[data.draw(st.sampled_from(sorted(self.world)))]
            self.step()

    @rule(seconds=st.sampled_from([0.5, 5, 31, 700]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.step()

    @rule(grace=st.sampled_from([0, 5]))
    def it_is_deleted(self, grace: int) -> None:
        self.memory = request_deletion(self.memory, self.now, grace)
        self.step()

    @rule()
    def the_agent_restarts(self) -> None:
        self.memory = from_checkpoint(to_checkpoint(self.memory))
        self.under_way.clear()
        self.step()

    @invariant()
    def the_report_is_whole(self) -> None:
        if self.last is None:
            return
        assert [entry.name for entry in self.last.containers] == [c.name for c in self.pod.containers]
        assert [entry.name for entry in self.last.init_containers] == [c.name for c in self.pod.init_containers]
        if self.last.finished:
            assert all(isinstance(entry.state, Terminated) for entry in (*self.last.containers, *self.last.init_containers))
            assert not any(seen.state == "running" for seen in self.world.values())
        for entry in (*self.last.containers, *self.last.init_containers):
            assert isinstance(entry.state, Running) or not entry.started
            assert not isinstance(entry.state, Terminated) or entry.state.exit_code != 0 or self.may_succeed(entry.name)

    def may_succeed(self, name: str) -> bool:
        return name in self.succeeded

    def teardown(self) -> None:
        """From anywhere it comes to an end, if everything works from now on and, in the end, the pod is deleted."""
        for step in range(400):
            if self.memory.finished:
                return
            if self.under_way:
                action = self.under_way[0]
                self.carry_out(action)
                self.finish(action, Outcome(action))
            else:
                if step > 200:
                    self.memory = request_deletion(self.memory, self.now, 0)
                mains = [(c.name, self.running(c.name)) for c in self.pod.all_containers if not c.sidecar]
                for name, seen in mains:
                    if seen is not None and self.now > (seen.started_at or 0) + 5:
                        self.end(name, 0)
                self.now += 1 if self.decision.wake_at is None else max(0.1, self.decision.wake_at - self.now)
                self.step()
        raise AssertionError(f"the pod never ends: {self.memory}")


Kubelet.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestInvariants = Kubelet.TestCase
