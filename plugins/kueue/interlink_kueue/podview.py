"""All that is known of one pod at one moment. Its report and the actions that are due follow from this view, by pure functions."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from interlink_common.model import codec
from interlink_common.model.workload import Container, Workload
from interlink_kueue import labels
from interlink_kueue.fate import Fate, must_stop_job
from interlink_kueue.kueue import KueueWorkload
from interlink_kueue.labels import ObjectRef
from interlink_kueue.remotepod import RemoteRun


@dataclass(frozen=True, slots=True)
class RecordedPod:
    """What the plugin keeps in memory of a pod on record: enough to report that it vanished and, compressed, to start it again."""

    ref: ObjectRef
    containers: tuple[tuple[str, str], ...]
    """(name, image) of each."""
    init_containers: tuple[tuple[str, str], ...]
    compressed: bytes
    is_repeatable: bool
    """Whether the workload is complete. That of a pod adopted from a remote object has no commands and no files."""

    @classmethod
    def of(cls, workload: Workload, ref: ObjectRef) -> RecordedPod:
        def names_and_images(containers: tuple[Container, ...]) -> tuple[tuple[str, str], ...]:
            return tuple((container.name, container.image) for container in containers)

        return cls(
            ref,
            names_and_images(workload.containers),
            names_and_images(workload.init_containers),
            zlib.compress(codec.to_json(workload).encode(), 1),
            is_repeatable=labels.ADOPTED not in workload.annotations,
        )

    def workload(self) -> Workload:
        return codec.from_json(zlib.decompress(self.compressed).decode())


@dataclass(frozen=True, slots=True)
class EarlierRun:
    """A run before the latest. `group_ended`: it belonged to a group, of which no pod that is still there goes on."""

    run: RemoteRun
    group_ended: bool = False


@dataclass(frozen=True, slots=True)
class PodView:
    """All that is known of one pod. `run` is its latest, and `fate` what is to become of that."""

    run: RemoteRun
    fate: Fate
    recorded: RecordedPod | None = None
    kueue_workload: KueueWorkload | None = None
    earlier: tuple[EarlierRun, ...] = ()


class Action(StrEnum):
    """What the plugin may have to do about a run, as the name of a background task begins."""

    RECORD_SUPERSEDED = "record superseded pods of"
    STOP_JOB = "stop"
    RERUN = "rerun"
    RELEASE = "release"
    REMOVE = "remove"
    BRING_FILES = "bring files of"
    FREE_GROUP = "free group"


@dataclass(frozen=True, slots=True)
class DueAction:
    """An action and the run that it is about."""

    action: Action
    run: RemoteRun

    @property
    def task(self) -> str:
        """Name of the background task. Actions of one name are never carried out at the same time."""
        if self.action is Action.RERUN:
            return rerun_task(self.run.pod.pod_uid)
        if self.action is Action.FREE_GROUP:
            return f"{self.action} {self.run.pod.group} {self.run.pod.run_number}"
        return f"{self.action} {self.run.ref}"


def rerun_task(pod_uid: str) -> str:
    """Name of the background task that starts a pod again."""
    return f"{Action.RERUN} {pod_uid}"


def due_actions(view: PodView) -> Iterator[DueAction]:
    """Everything that is due because of what is known now. Files are due again and again while the pod waits on a worker cluster."""
    run, pod, recorded = view.run, view.run.pod, view.recorded
    if pod.superseded:
        yield DueAction(Action.RECORD_SUPERSEDED, run)
    if pod.job and not run.gone and must_stop_job(pod):
        yield DueAction(Action.STOP_JOB, run)
    if view.fate is Fate.RERUN and recorded is not None:
        yield DueAction(Action.RERUN, run)
    elif view.fate.is_final and not run.gone and pod.deleted and labels.FINALIZER in pod.finalizers:
        yield DueAction(Action.RELEASE, run)
    elif view.fate.is_final and not run.gone and pod.eviction and labels.KUEUE_GATE in pod.gates:
        yield DueAction(Action.REMOVE, run)  # MultiKueue would run it again
    is_on_worker = view.kueue_workload is not None and view.kueue_workload.worker and not pod.job
    if is_on_worker and pod.is_waiting and recorded is not None and recorded.is_repeatable:
        yield DueAction(Action.BRING_FILES, run)
    for earlier in view.earlier:
        if not earlier.run.gone and pod.is_complete:
            yield DueAction(Action.REMOVE, earlier.run)
            if earlier.group_ended:
                yield DueAction(Action.FREE_GROUP, earlier.run)
