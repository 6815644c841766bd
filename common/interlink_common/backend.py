"""The seam: what a backend writes, and what the library does for it.

A backend implements six methods: `submit`, `inventory`, `observe`, `logs`, `cancel` and `capacity`. It also implements `start` and `close`
if it holds a connection, and `adopt` if it watches each job on its own. It declares `name`, `settings_type` and `capabilities`, and its
package registers the class in the entry-point group `interlink.plugins`.

The library does the rest: HTTP, validation, translation, the refusal of what the capabilities exclude, idempotency, the record that is
durable *before* `submit`, retries with back-off, recovery after a restart, status composition (always one entry for each container),
deletion that survives a restart, the collector of orphans, metrics, tracing and the command line. While a backend raises
`BackendUnavailable`, the library keeps states as they are.

The library does **not** set a time limit for `observe`, which may wait for ever, and does not interpret JIDs. It calls only one method for
a pod at a time, with two exceptions: it calls `logs` at any time, and `cancel` also while a `submit` of the same pod hangs, or while an
earlier `cancel` with a longer grace period is under way.

Errors: raise `BackendUnavailable` (or another `Temporary`) if the call may work later, and `Refused` if it never will.
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
    """The pod runs, and its status message has a warning."""
    REFUSE = "refuse"


@dataclass(frozen=True)
class Capabilities:
    """What this backend can do with a pod. For everything else, the library refuses the pod or adds a warning, and names the field.

    The defaults are cautious: declare what you have tested.
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
    """Fields of v1.Volume that the operator can map to something of the site: persistentVolumeClaim, nfs, csi, ..."""
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
    """A job that the backend has, with the pod UID that it carries.

    `workload` is what the job's labels or attributes contain of the pod, for `Backend.adopt` after the database was lost: names, restart
    policy, grace period. It contains no secrets, so the plugin can observe, log and delete the pod, but not start it again.
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
    """What the virtual node offers in total, not what is free. None: leave the node's value as it is."""

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
    """Base class of every backend. Its constructor contacts nothing; `start` does."""

    name: ClassVar[str]
    settings_type: ClassVar[type[PluginSettings]] = PluginSettings
    capabilities: Capabilities = Capabilities()

    def __init__(self, settings: PluginSettings) -> None:
        self.settings = settings

    async def start(self, jobs: Sequence[Job]) -> None:  # noqa: B027  a backend without a connection needs none
        """Connects. `jobs` are all recorded jobs that have a JID and are not deleted.

        Raises BackendUnavailable; the library then calls it again. The sequence reads a job from the disk on each access. Go through it
        with `in_slices`, so that no other request waits for the disk.
        """

    async def close(self) -> None:  # noqa: B027
        """Closes connections and ends tasks. Jobs continue."""

    def admit(self, workload: Workload) -> None:  # noqa: B027  the capabilities may say all there is to say
        """Raises Refused for a pod that this backend will not run: the operator forbids it, or no setting offers what it requests.

        Pure. The library calls it before it records the pod, and again before a later submit, because settings may have changed.
        """

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        """What `submit` would create for an admitted pod, as plain objects. Pure; only `interlink-plugin translate` calls it."""
        return []

    @abstractmethod
    async def submit(self, workload: Workload) -> str:
        """Starts the job and returns its JID. It is fast: slow work happens afterwards. The job must carry `workload.uid`.

        After a lost answer or a restart, the library calls it again for the same pod, but only if `inventory` does not show the pod.
        """

    @abstractmethod
    async def inventory(self) -> Sequence[FoundJob]:
        """Every job of this plugin that the backend has, including jobs that have ended."""

    async def adopt(self, job: Job, *, complete: bool) -> None:  # noqa: B027  a backend that observes whatever it finds needs none
        """Follows a job that only `inventory` has shown. Idempotent. May raise BackendUnavailable; the library then calls it again.

        `complete`: the plugin was killed before it recorded the answer of its submit, and the workload is the recorded one. Continue as
        after a submit. Otherwise the record is lost, and the workload is the one from `inventory`. Observe and stop the job, but start
        nothing of it again, also after a restart: from now on the job is recorded.
        """

    @abstractmethod
    def observe(self) -> AsyncIterator[Observation]:
        """Yields states for ever: first that of every job, then each change (or all states after each poll).

        Raises BackendUnavailable when it loses the backend. The library then keeps states as they are and calls `observe` again, with
        back-off.
        """

    @abstractmethod
    def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        """Yields the log, also of a running job, in chunks of any size. With `follow`, it ends when the container's attempt ends.

        If the backend can't apply the options itself, `interlink_common.logselect` applies them to lines with timestamps.
        Raises NotFound if there is no such container or attempt.
        """

    @abstractmethod
    async def cancel(self, job: Job, grace_seconds: int) -> None:
        """Stops the job in order (preStop, TERM, grace, KILL), removes everything of it, then returns. Idempotent.

        A second call with a shorter grace period shortens the first. When one of them returns, the library may cancel the other.
        """

    @abstractmethod
    async def capacity(self) -> NodeCapacity:
        """What the virtual node offers."""

    def gauges(self) -> Sequence[Gauge]:
        """Metrics of this backend for /metrics. The library calls it at each scrape: it may read a small file, but nothing slower."""
        return ()

    async def check(self) -> list[CheckResult]:
        """Rows for `interlink-plugin check`: whether the backend is reachable, versions, permissions, images, CVMFS."""
        return []

    async def devices(self) -> list[dict[str, str]]:
        """Rows for `interlink-plugin devices`. All rows have the same keys, which become the head of the table."""
        return []
