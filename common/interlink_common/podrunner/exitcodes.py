"""What podrunner's exit code means. Below 240 it is the pod's: 0, or that of the first container that failed."""

from __future__ import annotations

from interlink_common.model.report import PodReport, Terminated

BAD_BUNDLE = 240
"""pod.json or runner.json can't be read."""
NO_RUNTIME = 241
"""None of the configured container runtimes works on the node."""
NO_PYTHON = 242
"""start.sh found no Python 3.9 or newer."""
STOPPED = 243
"""The batch system ended the job (SIGTERM: walltime, eviction, removal); the containers were stopped in order."""
BROKEN = 244
"""A mistake of podrunner's own."""

MEANINGS = {
    BAD_BUNDLE: "the job's files are damaged",
    NO_RUNTIME: "the worker node has none of the configured container runtimes",
    NO_PYTHON: "the worker node has no Python 3.9 or newer",
    STOPPED: "the batch system stopped the job",
    BROKEN: "podrunner failed",
}


def of_report(report: PodReport) -> int:
    """0 if every main container ended with 0, else the code of the one that failed first; codes from 240 on become 239."""
    failed = [entry.state for entry in report.containers if isinstance(entry.state, Terminated) and entry.state.exit_code != 0]
    if not failed:
        return 0
    first = min(failed, key=lambda state: state.finished_at if state.finished_at is not None else float("inf"))
    return min(max(first.exit_code, 1), BAD_BUNDLE - 1)
