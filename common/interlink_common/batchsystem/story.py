"""What is said of a pod when its job, and not podrunner, tells of it: it waits, it has failed, or it runs again. Pure.

A job that is gone, held, or evicted says nothing of the containers by itself, so their last known states are kept where they are final,
and everything else waits or has failed with the batch system's own reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container, Workload

LOST_EXIT_CODE = 137
"""As of a container that was killed: what ran when the job ended is gone."""


@dataclass(frozen=True)
class Story:
    """Earlier runs of the pod: how often each container was started in them, and how it last ended."""

    attempts: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, Terminated] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What podrunner told in its last run. `ended`: it told its end, which was the pod's own and not the batch system's doing."""

    report: PodReport | None = None
    ended: bool = False
    cause: str = ""


@dataclass(frozen=True)
class Knowledge:
    """What the streams of a pod's runs have told."""

    told: Told = field(default_factory=Told)
    story: Story = field(default_factory=Story)


def as_told(known: Knowledge, *, finished: bool) -> PodReport | None:
    """podrunner's own word, if there is one. `finished`: only its last one, which ends the pod."""
    if known.told.report is None or (finished and not known.told.ended):
        return None
    return with_story(replace(known.told.report, finished=finished), known.story)


def waiting(pod: Workload, known: Knowledge, reason: str, message: str) -> PodReport:
    """Every container waits, whatever it did in an earlier run: between two runs nothing is terminated."""
    return with_story(_all(pod, lambda _: Waiting(reason, message)), known.story)


def failed(pod: Workload, known: Knowledge, reason: str, message: str, code: int = LOST_EXIT_CODE) -> PodReport:
    """The pod has failed. What a container had come to by itself in the last run stays."""
    ended = Terminated(code or LOST_EXIT_CODE, reason, message)

    def explained(state: Terminated) -> Terminated:
        """With the batch system's own reason, where podrunner knew only that it was stopped."""
        knows_more = bool(state.message) and not (known.told.cause and state.message.startswith(known.told.cause))
        return state if knows_more or state.exit_code == 0 else replace(state, message=message)

    def state(container: Container) -> ContainerState:
        entry = _entry(known.told.report, container.name)
        if entry is None:
            return ended
        if isinstance(entry.state, Terminated):
            return explained(entry.state)
        started = entry.state.started_at if isinstance(entry.state, Running) else None
        return replace(ended, started_at=started)

    made = _all(pod, state)
    if all(isinstance(c.state, Terminated) and c.state.exit_code == 0 for c in made.containers):
        # Somebody ended the job between the containers' end and podrunner's word on it: the pod is not known to have succeeded.
        made = replace(made, containers=tuple(replace(c, state=ended) for c in made.containers))
    return with_story(replace(made, finished=True), known.story)


def after_run(story: Story, told: PodReport | None, why: str) -> Story:
    """The story when a run is over that did not end the pod."""
    if told is None:
        return story
    attempts, last = dict(story.attempts), dict(story.last)
    for entry in (*told.init_containers, *told.containers):
        if not has_started(entry):
            continue
        attempts[entry.name] = attempts.get(entry.name, 0) + entry.restart_count + 1
        if isinstance(entry.state, Terminated) and entry.state.exit_code == 0:
            last[entry.name] = entry.state
        else:
            begun = entry.state.started_at if isinstance(entry.state, (Running, Terminated)) else None
            last[entry.name] = Terminated(LOST_EXIT_CODE, "Evicted", why, begun)
    return Story(attempts, last)


def has_started(entry: ContainerReport) -> bool:
    """Whether a container ran at all; one that never did is Terminated too when its pod has failed."""
    if isinstance(entry.state, Terminated) and entry.state.started_at is not None:
        return True
    return isinstance(entry.state, Running) or entry.last_state is not None


def is_waiting(report: PodReport | None, container: str) -> bool:
    """Whether the container has not started, or is between two attempts."""
    entry = _entry(report, container)
    return entry is not None and isinstance(entry.state, Waiting)


def has_ended(report: PodReport, container: str, attempt: int) -> bool:
    """Whether an attempt of a container is over."""
    entry = _entry(report, container)
    return entry is not None and (attempt < entry.restart_count or isinstance(entry.state, Terminated))


def with_story(made: PodReport, story: Story) -> PodReport:
    """Earlier runs count as restarts."""

    def told(entry: ContainerReport) -> ContainerReport:
        count = entry.restart_count + story.attempts.get(entry.name, 0)
        return replace(entry, restart_count=count, last_state=entry.last_state or story.last.get(entry.name))

    return replace(made, containers=tuple(map(told, made.containers)), init_containers=tuple(map(told, made.init_containers)))


def _entry(told: PodReport | None, name: str) -> ContainerReport | None:
    entries = (*told.init_containers, *told.containers) if told is not None else ()
    return next((entry for entry in entries if entry.name == name), None)


def _all(pod: Workload, state: Callable[[Container], ContainerState]) -> PodReport:
    def made(container: Container) -> ContainerReport:
        return ContainerReport(container.name, state(container), image=container.image)

    return PodReport(tuple(map(made, pod.containers)), tuple(map(made, pod.init_containers)))
