"""`make bench`: measures, stores `benchmarks/results.json`, and renders docs/benchmarks.md with its plot from it.

`python -m benchmarks.run --render` only renders what is stored.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "images" / "status-latency.svg"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def measured_on() -> dict[str, Any]:
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "revision": revision,
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def part(module: str) -> dict[str, Any]:
    print(f"running {module} ...", flush=True)
    done = subprocess.run([sys.executable, "-m", f"benchmarks.{module}"], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout))


def verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def lag(found: dict[str, float]) -> str:
    return f"p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms, longest {found['max_ms']:.1f} ms"


def rows(result: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    library, engine = result["library"], result["engine"]
    found = []
    for count, pair in library["status"].items():
        ratio = pair["plugin"]["p50_ms"] / pair["bare"]["p50_ms"]
        measured = (
            f"p50 {pair['plugin']['p50_ms']:.3f} ms, p99 {pair['plugin']['p99_ms']:.3f} ms; "
            f"bare route p50 {pair['bare']['p50_ms']:.3f} ms, p99 {pair['bare']['p99_ms']:.3f} ms; ratio {ratio:.2f}"
        )
        found.append(
            (f"GET /status of one pod, {int(count):,} pods tracked", measured, "p50 at most 1.25 x the bare route", verdict(ratio <= 1.25))
        )
    create, logs = engine["create"], engine["logs"]
    found += [
        (
            "create of a one-container pod until the engine starts it",
            f"{create['plugin_ms']} ms; raw engine calls {create['raw_ms']} ms; ratio {create['ratio']}",
            "at most 1.1 x the raw calls",
            verdict(create["ratio"] <= 1.1),
        ),
        (
            "log stream of 64 MiB",
            f"{logs['plugin_mib_per_second']} MiB/s; raw API {logs['raw_mib_per_second']} MiB/s; ratio {logs['ratio']}",
            "at least 0.8 x the raw API",
            verdict(logs["ratio"] >= 0.8),
        ),
        ("memory, idle", f"{library['idle_mib']} MiB", "at most 80 MiB", verdict(library["idle_mib"] <= 80)),
        ("memory with 10,000 records", f"{library['mib']} MiB", "at most 250 MiB", verdict(library["mib"] <= 250)),
        (
            "restart with 10,000 records, from exec to the first answer",
            f"{library['restart_seconds']} s",
            "at most 2 s",
            verdict(library["restart_seconds"] <= 2),
        ),
        (
            "event loop lag under creates and status calls",
            lag(library["loop_lag"]),
            "p99 at most 20 ms",
            verdict(library["loop_lag"]["p99_ms"] <= 20),
        ),
        (
            f"event loop lag in a restart with 10,000 records, until every state is reported ({library['restart_states_seconds']} s)",
            lag(library["restart_loop_lag"]),
            "p99 at most 20 ms",
            verdict(library["restart_loop_lag"]["p99_ms"] <= 20),
        ),
        (
            f"event loop lag while Docker's backend reads {engine['restart']['pods']:,} ended pods ({engine['restart']['seconds']} s)",
            lag(engine["restart"]),
            "p99 at most 20 ms",
            verdict(engine["restart"]["p99_ms"] <= 20),
        ),
        ("creates accepted over 4 connections", f"{library['creates_per_second']} pods/s", "", ""),
        *podrunner_rows(result["podrunner"]),
        *pool_rows(result["pool"]),
        *element_rows(result["element"]),
    ]
    return found + remote_rows(result["cluster"])


def remote_rows(cluster: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Of the Kueue plugin."""
    create, pair, change, lag, pods = (cluster[name] for name in ("create", "status", "change", "loop_lag", "pods"))
    ratio = pair["plugin"]["p50_ms"] / pair["bare"]["p50_ms"]
    mib = max(cluster["mib"], cluster["restarted_mib"])
    return [
        (
            "Kueue: create of a pod without files until it is in the remote cluster",
            f"{create['plugin_ms']} ms; the raw API call {create['raw_ms']} ms; ratio {create['ratio']}",
            "at most 1.2 x the raw call",
            verdict(create["ratio"] <= 1.2),
        ),
        (
            f"Kueue: GET /status of one pod, {pods:,} remote pods",
            f"p50 {pair['plugin']['p50_ms']:.3f} ms, p99 {pair['plugin']['p99_ms']:.3f} ms; "
            f"bare route p50 {pair['bare']['p50_ms']:.3f} ms, p99 {pair['bare']['p99_ms']:.3f} ms; ratio {ratio:.2f}",
            "p50 at most 1.25 x the bare route",
            verdict(ratio <= 1.25),
        ),
        (
            f"Kueue: from a change of a remote pod until GET /status shows it, {pods:,} remote pods",
            f"p50 {change['p50_ms']:.1f} ms, p99 {change['p99_ms']:.1f} ms",
            "p99 at most 200 ms",
            verdict(change["p99_ms"] <= 200),
        ),
        (
            f"Kueue: memory with {pods:,} remote pods, after a restart too",
            f"{cluster['mib']} MiB, {cluster['restarted_mib']} MiB; idle {cluster['idle_mib']} MiB",
            "at most 300 MiB",
            verdict(mib <= 300),
        ),
        (
            f"Kueue: event loop lag while {pods:,} pods with files are created over 4 connections",
            f"p50 {lag['p50_ms']:.2f} ms, p99 {lag['p99_ms']:.2f} ms; {cluster['creates_per_second']} pods/s",
            "p99 at most 20 ms",
            verdict(lag["p99_ms"] <= 20),
        ),
        ("Kueue: restart with those pods on record, from exec to the first answer", f"{cluster['restart_seconds']} s", "", ""),
    ]


def pool_rows(pool: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    submit, status, first, by_log = pool["submit"], pool["status"], pool["first_byte"], pool["first_byte_event_log"]
    large = pool["large_log"]
    single, raw = submit["single_seconds"], submit["raw_single_seconds"]
    name = f"HTCondor {pool['htcondor']} ({pool['when']})"
    return [
        (
            f"{name}: {submit['pods']:,} pods submitted together, and one after the other",
            f"{submit['together_seconds']} s; {single} s (raw htcondor2 {raw} s); {submit['gain']} x",
            "at least 5 x",
            verdict(submit["gain"] >= 5),
        ),
        (
            f"{name}: one query for {status['jobs']:,} jobs in the queue",
            f"query {status['query_seconds']} s; {status['plugin_cpu_seconds']} s of the plugin’s cpu",
            "",
            "",
        ),
        (
            f"{name}: a log line, from the container’s write to a follower",
            f"p50 {first['p50_ms']} ms, max {first['max_ms']} ms; with the event log p50 {by_log['p50_ms']} ms, max {by_log['max_ms']} ms",
            "",
            "",
        ),
        (
            f"{name}: fetched for a log of {large['logged_mib']} MiB that a container writes at full speed",
            f"{large['fetched_mib']} MiB, for {large['stream_mib']} MiB of podrunner’s stream, in {large['seconds']} s",
            "",
            "",
        ),
    ]


def element_rows(element: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Of the ARC plugin."""
    submit, following, first = element["submit"], element["following"], element["first_byte"]
    name = f"ARC {element['arc']} ({element['when']})"
    return [
        (
            f"{name}: {submit['pods']:,} pods submitted together, and one after the other",
            f"{submit['together_per_second']} jobs/s; {submit['single_per_second']} jobs/s (pyarcrest {submit['pyarcrest_per_second']}); "
            f"{submit['gain']} x",
            "at least 5 x",
            verdict(submit["gain"] >= 5),
        ),
        (
            f"{name}: following {following['jobs']:,} waiting jobs, a round every {following['poll_seconds']:g} s",
            f"{following['requests_per_round']} requests in a round; {following['cpu_share']:.1%} of a core",
            "requests constant in the number of jobs",
            verdict(following["requests_per_round"] < 2),
        ),
        (
            f"{name}: a log line, from the container’s write to a follower, with a round every {first['poll_ms']} ms",
            f"p50 {first['p50_ms']} ms, max {first['max_ms']} ms",
            "at most the round and 100 ms",
            verdict(first["max_ms"] <= first["poll_ms"] + 100),
        ),
    ]


def podrunner_rows(podrunner: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    process, apptainer = podrunner["process"], podrunner["apptainer"]

    def told(times: dict[str, float]) -> str:
        return f"{times['least']:.0f} ms (median {times['median']:.0f} ms)"

    return [
        (
            f"podrunner on a node, from start.sh to the start of the first container: the least of {podrunner['rounds']} starts",
            f"bare process {told(process['started_ms'])}, apptainer {told(apptainer['started_ms'])}; Python {podrunner['python']}",
            "less than 150 ms",
            verdict(process["started_ms"]["least"] < 150),
        ),
        (
            "the same to the container's first line",
            f"bare process {told(process['first_line_ms'])}, apptainer {told(apptainer['first_line_ms'])}; "
            f"`apptainer exec` alone {told(apptainer['bare_ms'])}",
            "",
            "",
        ),
        ("podrunner's memory at its peak", f"{podrunner['mib']} MiB", "less than 30 MiB", verdict(podrunner["mib"] < 30)),
        ("files of a job, podrunner included", f"{podrunner['bundle_bytes'] // 1024} KiB", "", ""),
    ]


def render(result: dict[str, Any]) -> None:
    on = result["measured_on"]
    lines = [
        "# Benchmarks",
        "",
        f"Measured on {on['date']} at revision {on['revision']}: {on['cores']} cores of {on['processor']}, Linux {on['kernel']}, "
        f"Python {on['python']}, Docker engine {result['engine']['engine']}, Kubernetes {result['cluster']['kubernetes']}. "
        "Client, plugin and reference shared these cores. The calls of each pair alternated, so compare ratios rather than times. "
        f"The load average was {on['load_average']}; if it is well above 3, other programs were running, and the times mean little. "
        "`make bench` measures again.",
        "",
        f"The status request was recorded from a real virtual kubelet ({result['library']['request_bytes']:,} bytes). "
        'The reference is a FastAPI route on a unix socket that reads nothing and returns the same bytes ("bare route").',
        "",
        f"The Kueue plugin (measured on {result['cluster']['date']}) used etcd, an API server and the controllers on the same cores, "
        "without a node: the benchmark wrote the states of the remote pods.",
        "",
        "| what | measured | goal | |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows(result)),
        "",
        "![Latency of a status call](images/status-latency.svg)",
        "",
    ]
    PAGE.write_text("\n".join(lines))
    plot(result["library"]["status"])


def plot(status: dict[str, Any]) -> None:
    mpl.rcParams["svg.hashsalt"] = "interlink"
    counts = [int(count) for count in status]
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, colour in (("plugin", "tab:blue"), ("bare", "tab:gray")):
        label = "this plugin" if name == "plugin" else "bare FastAPI route"
        axes.plot(counts, [status[str(n)][name]["p50_ms"] for n in counts], marker="o", color=colour, label=f"{label}, p50")
        axes.plot(counts, [status[str(n)][name]["p99_ms"] for n in counts], marker="o", color=colour, linestyle=":", label=f"{label}, p99")
    axes.set(xscale="log", xlabel="pods tracked", ylabel="milliseconds", ylim=(0, None), title="GET /status of one pod")
    axes.grid(alpha=0.3)
    axes.legend()
    PLOT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOT, metadata={"Date": None})


def main() -> None:
    if "--render" not in sys.argv[1:]:
        result = {
            "measured_on": measured_on(),
            "library": part("library"),
            "engine": part("engine"),
            "cluster": part("cluster"),
            "podrunner": part("podrunner"),
            "pool": part("pool"),
            "element": part("element"),
        }
        result["measured_on"]["load_average"] = round(os.getloadavg()[1], 1)
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    result = json.loads(RESULTS.read_text())
    render(result)
    for row in rows(result):
        print(" | ".join(row))


if __name__ == "__main__":
    main()
