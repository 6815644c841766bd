"""Why a job waits, in words, from what is known anyway: the other jobs of ours, its last rejection, and what the slots have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from interlink_htcondor.ads import IDLE, JobAd


def count_ahead(jobs: Iterable[JobAd]) -> dict[str, int]:
    """How many idle jobs of ours are before each, as the schedd orders those of one owner: priority, then age."""
    waiting = [job for job in jobs if job.status == IDLE]
    waiting.sort(key=lambda job: (-job.number("JobPrio"), job.number("QDate"), job.number("ClusterId"), job.number("ProcId")))
    return {job.jid: position for position, job in enumerate(waiting)}


def why_unmatched(job: JobAd, slots: Sequence[Mapping[str, Any]]) -> str:
    """ "" or why no slot takes the job: more of something than any slot has, else the negotiator's own words."""
    if job.status != IDLE:
        return ""
    for request, total, words in (
        ("RequestCpus", "TotalSlotCpus", "cpus"),
        ("RequestMemory", "TotalSlotMemory", "MiB of memory"),
        ("RequestGPUs", "TotalSlotGPUs", "GPUs"),
    ):
        largest = max((int(slot.get(total, 0)) for slot in slots), default=None)
        if largest is not None and job.number(request) > largest:
            return f"no slot of the pool has {job.number(request)} {words}, the largest has {largest}"
    return job.text("LastRejMatchReason").strip()
