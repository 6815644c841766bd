"""Feeds the outcome of an action back into the memory. Pure."""

from __future__ import annotations

from dataclasses import replace

from interlink_common.lifecycle import probing, termination
from interlink_common.lifecycle.attempts import record_failed_start
from interlink_common.lifecycle.interface import (
    POST_START,
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
from interlink_common.lifecycle.memory import EVICTED, BackOff, PodMemory, PodTermination, PostStart
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.workload import Workload


def learn(workload: Workload, memory: PodMemory, outcome: Outcome, now: float, timing: Timing) -> PodMemory:
    """The memory after the action is over; a lost outcome only makes the action due again."""
    action = outcome.action
    memory = replace(memory, in_flight=memory.in_flight - {action})
    if outcome.lost or memory.finished:
        return memory
    if isinstance(action, Prepare):
        return replace(_with_backoff(memory, "", outcome, now, timing), prepared=outcome.ok)
    if isinstance(action, EnsureImage):
        return _learn_image(memory, action, outcome, now, timing)
    if isinstance(action, StartAttempt):
        if outcome.reason == "RunContainerError":
            return record_failed_start(memory, action, outcome.message, now)
        return replace(
            _with_backoff(memory, action.container, outcome, now, timing), images=memory.images - {(action.container, action.attempt)}
        )
    return _learn_of_running(workload, memory, outcome, now)


def learn_progress(memory: PodMemory, container: str, words: str) -> PodMemory:
    """How far the pull for that container is."""
    return replace(memory, progress={**memory.progress, container: words})


def _learn_of_running(workload: Workload, memory: PodMemory, outcome: Outcome, now: float) -> PodMemory:
    action = outcome.action
    if isinstance(action, RunProbe):
        return probing.learn(memory, workload.container(action.container), action, outcome)
    if isinstance(action, RunHook):
        if action.hook != POST_START:
            return termination.learn_pre_stop(memory, outcome, action.container, action.attempt)
        failure = "" if outcome.ok else outcome.message or "the hook failed"
        return replace(memory, post_starts={**memory.post_starts, action.container: PostStart(action.attempt, failure)})
    if isinstance(action, Kill):
        return termination.learn_kill(memory, action, now)
    if isinstance(action, Prune):
        return replace(memory, pruned={**memory.pruned, action.container: action.before_attempt})
    if isinstance(action, CheckStorage) and not outcome.ok and memory.termination is None:
        return replace(memory, termination=PodTermination(EVICTED, outcome.message, now, 0))
    return memory


def _learn_image(memory: PodMemory, action: EnsureImage, outcome: Outcome, now: float, timing: Timing) -> PodMemory:
    memory = _with_backoff(memory, action.container, outcome, now, timing)
    progress = {name: words for name, words in memory.progress.items() if name != action.container}
    images = memory.images | {(action.container, action.attempt)} if outcome.ok else memory.images
    return replace(memory, images=images, progress=progress)


def _with_backoff(memory: PodMemory, container: str, outcome: Outcome, now: float, timing: Timing) -> PodMemory:
    """The next try waits twice as long after every failure of the same step; only that step's success ends the back-off."""
    step = type(outcome.action).__name__
    before = memory.backoffs.get(container)
    if before is not None and before.step != step:
        before = None
        if outcome.ok:
            return memory
    if outcome.ok:
        return memory.with_backoff(container, None)
    delay = timing.backoff_after(before.delay_seconds if before is not None else 0.0)
    return memory.with_backoff(container, BackOff(step, outcome.reason, outcome.message, now, delay))
