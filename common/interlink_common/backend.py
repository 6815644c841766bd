"""The seam: what a backend must write, and what it gets for free.

You write six verbs: `submit`, `inventory`, `observe`, `logs`, `cancel`, `capacity` (`start`/`close` too if you hold a connection, and
`adopt` if you watch job by job).
You declare `name`, `settings_type` and `capabilities`, and register the class in the entry-point group `interlink.plugins`.

The library does the rest: HTTP, validation, translation, refusal of what your capabilities exclude, idempotency, the record that is
durable *before* `submit`, retries with back-off, recovery after a restart, status composition (one entry per container, always),
freezing states while you raise `BackendUnavailable`, deletion that survives a restart, the collector of orphans, metrics, tracing, CLI.

The library does **not**: time out `observe` (it may wait for ever), look inside your JIDs, or call two verbs for one pod at once,
except `logs`, which runs any time, and `cancel`, which may arrive while a `submit` of the same pod hangs, or an earlier `cancel` with
more grace lasts.

Errors: raise `BackendUnavailable` (or another `Temporary`) when the call may work later, `Refused` when it never will.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings


class Support(StrEnum):
    """What a backend does with a pod feature."""

    YES = "yes"
    WARN = "warn"
    """The pod runs; the person sees a warning in the status message."""
    REFUSE = "refuse"


@dataclass(frozen=True)
class Capabilities:
    """What this backend can do with a pod. The library refuses or warns by name for everything else, never silently.

    The defaults are the cautious answer: a new backend opts in to what it has tested.
    """

    init_containers: Support = Support.REFUSE
    sidecars: Support = Support.REFUSE
    several_containers: Support = Support.REFUSE
    restart_policies: frozenset[str] = frozenset({"Never"})
    probes: Support = Support.WARN
    hooks: Support = Support.WARN
    files_volumes: Support = Support.REFUSE
    empty_dir: Support = Support.REFUSE
    empty_dir_size_limit: Support = Support.WARN
    """sizeLimit of an emptyDir on disk."""
    host_path: Support = Support.REFUSE
    external_volume_kinds: frozenset[str] = frozenset()
    """Fields of v1.Volume that an operator's map can realise: persistentVolumeClaim, nfs, csi, ..."""
    cvmfs: Support = Support.REFUSE
    mount_propagation: Support = Support.WARN
    sub_path: Support = Support.REFUSE
    device_resources: frozenset[str] = frozenset()
    """fnmatch patterns of resource names it can allocate, e.g. "nvidia.com/*"."""
    ephemeral_storage: Support = Support.WARN
    active_deadline: Support = Support.WARN
    tty: Support = Support.WARN
    stdin: Support = Support.WARN
    host_ports: Support = Support.REFUSE
    host_namespaces: Support = Support.REFUSE
    privileged: Support = Support.REFUSE
    run_as: Support = Support.REFUSE
    capabilities: Support = Support.REFUSE
    read_only_root_filesystem: Support = Support.REFUSE
    seccomp: Support = Support.REFUSE
    fs_group: Support = Support.REFUSE
    fs_group_of_claims: Support = Support.WARN
    """Whether fsGroup also owns what is in persistentVolumeClaims, besides the volumes that are the pod's own."""
    sysctls: Support = Support.REFUSE
    host_aliases: Support = Support.WARN
    dns_config: Support = Support.WARN
    share_process_namespace: Support = Support.WARN
    image_pull_secrets: Support = Support.WARN
    runtime_class: Support = Support.WARN
    mesh_network: Support = Support.WARN


@dataclass(frozen=True)
class Job:
    """A pod that is on record, and the backend's id for it."""

    pod_uid: str
    jid: str
    workload: Workload


@dataclass(frozen=True)
class FoundJob:
    """A job the backend knows of, by the pod UID it carries.

    `workload` is whatever the job's labels or attributes hold of it, for `Backend.adopt` after a lost database: names, restart
    policy, grace; no secrets, so it can be observed, logged and deleted, but not started again.
    """

    pod_uid: str
    jid: str
    workload: Workload | None = None


@dataclass(frozen=True)
class Observation:
    """The state of one pod, now."""

    pod_uid: str
    report: PodReport


@dataclass(frozen=True)
class LogQuery:
    """Which log, and which part of it: kubectl's options. None: not asked for. Times are unix nanoseconds.

    Semantics: v1.PodLogOptions. `limit_bytes` keeps the first bytes of what is selected; `since_ns` is exclusive of older
    lines; `tail_lines` counts before `limit_bytes`. `previous` is the attempt that the status calls lastState.terminated, as for
    the kubelet (validateContainerLogStatus): the newest that ended, but for the one that is the container's own state. So while
    a container waits for its next attempt, it is the very attempt that is read without `previous`.
    """

    container: str
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since_ns: int | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True)
class NodeCapacity:
    """What the virtual node offers, not what is free. None: leave the node as it is."""

    cpu_millis: int | None = None
    memory_bytes: int | None = None
    pods: int | None = None
    devices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Gauge:
    """One number for /metrics, now. Prometheus' rules for names hold, and the unit is part of the name."""

    name: str
    text: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class CheckResult:
    """One row of `interlink-plugin check`; `remedy` says what the operator does about it."""

    name: str
    verdict: Verdict
    detail: str
    remedy: str = ""


async def in_slices(jobs: Sequence[Job], size: int = 20) -> AsyncIterator[Sequence[Job]]:
    """`jobs` a few at a time, each slice read in a thread: ten thousand are never in memory at once, and never hold up the event loop."""
    for start in range(0, len(jobs), size):
        yield await asyncio.to_thread(jobs.__getitem__, slice(start, start + size))


class Backend(ABC):
    """Base of every backend. Constructed with its settings; nothing is contacted before `start`."""

    name: ClassVar[str]
    settings_type: ClassVar[type[PluginSettings]] = PluginSettings
    capabilities: Capabilities = Capabilities()

    def __init__(self, settings: PluginSettings) -> None:
        self.settings = settings

    async def start(self, jobs: Sequence[Job]) -> None:  # noqa: B027  a backend without a connection needs none
        """Connects. `jobs` are all on record that have a JID and are not deleted. Raises BackendUnavailable; it is then called again.

        A job is read from the disk when it is looked at: go through them with `in_slices`, and no other request waits for it.
        """

    async def close(self) -> None:  # noqa: B027
        """Lets go of connections and tasks; jobs go on."""

    def admit(self, workload: Workload) -> None:  # noqa: B027  the capabilities may say all there is to say
        """Raises Refused for a pod that this backend will not run: the operator forbids it, or no setting offers what it asks for.

        Pure. Called before the pod is recorded, and again before it is submitted later than that, because settings may have changed.
        """

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        """What `submit` would create for an admitted pod, as plain objects. Pure; only `interlink-plugin translate` calls it."""
        return []

    @abstractmethod
    async def submit(self, workload: Workload) -> str:
        """Starts the job and returns its JID. Fast: what is slow happens afterwards. The job must carry `workload.uid`.

        May be called again for the same pod after a lost answer or a restart, only when `inventory` did not show it.
        """

    @abstractmethod
    async def inventory(self) -> Sequence[FoundJob]:
        """Every job of ours that the backend knows, ended ones included."""

    async def adopt(self, job: Job, *, complete: bool) -> None:  # noqa: B027  a backend that observes whatever it finds needs none
        """Takes on a job that only `inventory` found. Idempotent. May raise BackendUnavailable; it is then called again.

        `complete`: the plugin was killed before the answer of its submit was recorded, and the workload is the recorded one: go on as
        after a submit. Otherwise its record is lost, and the workload is what `inventory` found: observe and stop the job, and start
        nothing of it again, also after a restart (the job is on record from now on).
        """

    @abstractmethod
    def observe(self) -> AsyncIterator[Observation]:
        """Yields states for ever: first of every job, then whatever changed (or all, once a poll).

        Raises BackendUnavailable when the backend is lost; the library freezes states and calls `observe` again, with back-off.
        """

    @abstractmethod
    def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        """Yields the log, also of a running job, in chunks of any size. With `follow`, ends when the container's attempt ends.

        `interlink_common.logselect` applies the options to timestamped lines if the backend can't.
        Raises NotFound if there is no such container or no such attempt.
        """

    @abstractmethod
    async def cancel(self, job: Job, grace_seconds: int) -> None:
        """Stops the job in order (preStop, TERM, grace, KILL), removes everything of it, then returns. Idempotent.

        A second call with less grace hurries the first; either may then be cancelled once the other has returned.
        """

    @abstractmethod
    async def capacity(self) -> NodeCapacity:
        """What the virtual node offers."""

    def gauges(self) -> Sequence[Gauge]:
        """What /metrics shows besides the library's own. Called when scraped: it may read a small file, and no more."""
        return ()

    async def check(self) -> list[CheckResult]:
        """Rows for `interlink-plugin check`: reachable? versions, permissions, images, cvmfs."""
        return []

    async def devices(self) -> list[dict[str, str]]:
        """Rows for `interlink-plugin devices`; every row has the same keys, which are the table's head."""
        return []
