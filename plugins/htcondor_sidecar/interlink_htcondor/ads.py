"""What we write into a job's ad, and read of it. Pure; the ad as JSON values, as `client.plain` makes it.

Ads are world-readable: nothing here may hold a secret, so of a pod there is only its stub.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interlink_common.batchsystem.jobs import Phase
from interlink_common.podrunner.chirp import NEWS, TAKEN
from interlink_htcondor.quoting import decoded

INSTANCE, POD_UID, POD_NAME, NAMESPACE, POD = (
    "InterLinkInstance", "InterLinkPodUid", "InterLinkPodName", "InterLinkNamespace", "InterLinkPod"
)  # fmt: skip
ON_EVICTION = "InterLinkOnEviction"

IDLE, RUNNING, REMOVED, COMPLETED, HELD, TRANSFERRING_OUTPUT, SUSPENDED = range(1, 8)
"""JobStatus."""
SPOOLING_INPUT = 16
"""HoldReasonCode of a job whose files have not all come yet."""

PROJECTION = (
    "ClusterId", "ProcId", "JobStatus", "EnteredCurrentStatus", "QDate", "JobPrio", "ServerTime", "Owner", "HoldReason",
    "HoldReasonCode", "HoldReasonSubCode", "NumHolds", "NumJobStarts", "NumShadowStarts", "JobCurrentStartDate",
    "CurrentHosts", "RemoteHost", "LastRemoteHost", "VacateReason", "LastVacateTime", "RemoveReason", "ExitBySignal",
    "ExitCode", "ExitSignal", "TransferringInput", "TransferQueued", "LastRejMatchReason", "CompletionDate",
    "RequestCpus", "RequestMemory", "RequestGPUs", POD_UID, ON_EVICTION, NEWS, TAKEN,
)  # fmt: skip


@dataclass(frozen=True)
class News:
    """The chunks of the stream that were put: the last number and the bytes of all. A run is one start of podrunner.

    `complaints` grows while a pod's output waits for an acknowledgement that podrunner has not seen. `removed_bytes` of what was put
    are in the spool no more.
    """

    run: int = 0
    number: int = 0
    put_bytes: int = 0
    complaints: int = 0
    removed_bytes: int = 0


@dataclass(frozen=True)
class JobAd:
    """A job of ours in the queue. Times are unix seconds, `jid` is cluster.proc.

    `ahead`: jobs of ours before it; None: not counted. `unmatched`: why no slot takes it. `fails_held`: the policy on holds has given up.
    """

    jid: str
    pod_uid: str
    status: int
    fields: dict[str, Any]
    ahead: int | None = None
    unmatched: str = ""
    fails_held: bool = False

    @classmethod
    def of(cls, ad: dict[str, Any]) -> JobAd:
        uid = decoded(str(ad.get(POD_UID, "")))
        return cls(f"{ad['ClusterId']}.{ad['ProcId']}", uid, int(ad.get("JobStatus", 0)), ad)

    @property
    def phase(self) -> Phase:
        """A job that somebody has removed is not over yet: its worker node may still be at it."""
        return {IDLE: Phase.WAITING, COMPLETED: Phase.ENDED}.get(self.status, Phase.RUNNING)

    def text(self, name: str) -> str:
        return str(self.fields.get(name, ""))

    def number(self, name: str) -> int:
        value = self.fields.get(name, 0)
        return int(value) if isinstance(value, (int, float)) else 0

    @property
    def starts(self) -> int:
        """How often podrunner was started."""
        return self.number("NumJobStarts")

    @property
    def news(self) -> News:
        return read_news(self.text(NEWS))

    @property
    def is_half_submitted(self) -> bool:
        """In the queue, but its files have not come."""
        return self.status == HELD and self.number("HoldReasonCode") == SPOOLING_INPUT


def read_news(text: str) -> News:
    """From "RUN:NUMBER:BYTES:COMPLAINTS:REMOVED"; what is not that is no news."""
    parts = text.split(":")
    if len(parts) != 5 or not all(part.isdecimal() for part in parts):
        return News()
    return News(*map(int, parts))
