"""What `make test` runs: parts, each a pytest of its own, two at a time. `make trials` runs another part.

They mostly wait, and every part has servers of its own: other directories, bridges, ports and control groups; Docker engines start one at a
time (see tests/servers/docker_engine.py). The output of a part is printed whole when it has ended, and at the end how long each took. No
test is run twice: one that fails, fails.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from scripts import test_servers
from scripts.packages import Missing, say

NOTHING_COLLECTED = 5
RUNNING: set[subprocess.Popen[bytes]] = set()
COUNTED = re.compile(r"(\d+) (passed|failed|error|skipped)")
"""Of the line that closes a pytest's output."""


@dataclass(frozen=True)
class Part:
    """`tests`: pytest's arguments. `backend`: the name that REQUIRE_BACKENDS has for it. `build`: makes what its servers are made of."""

    name: str
    tests: Sequence[str]
    backend: str = ""
    build: Callable[[], None] | None = None


def live(backend: str, *tests: str, build: Callable[[], None] | None = None) -> Part:
    """A backend and its real server. Its `tests` have the usual places, if not said otherwise."""
    places = tests or (f"tests/contract/test_{backend}.py", f"tests/live/{backend}")
    return Part(backend, [place for place in places if Path(place).exists()], backend, build)


IN_PARALLEL = 2
SUITE = (
    live("kueue", build=test_servers.kubernetes),
    live("arc", build=test_servers.arc),
    live("htcondor", build=test_servers.htcondor),
    live("slurm", build=test_servers.slurm),
    live("docker"),
    live("podrunner"),
    Part("units", ["-n", "2", "-m", "not live and not e2e"]),
    Part("chain", ["tests/e2e"]),
)
"""What takes longest comes first, so that the last ones end together."""
TRIALS = Part("trials", ["-m", "trial"], build=test_servers.everything)
PARTS = {part.name: part for part in (*SUITE, TRIALS)}
BACKENDS = [part.backend for part in SUITE if part.backend]


@dataclass(frozen=True)
class Result:
    part: Part
    passed: bool
    seconds: float
    output: str = ""

    @property
    def line(self) -> str:
        return f"{self.part.name:12} {clock(self.seconds):>6}  {'passed' if self.passed else 'FAILED'}"


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def run(part: Part, required: Iterable[str], *, shown: bool) -> Result:
    """`shown`: its output is printed as it comes, and not kept."""
    began = time.monotonic()
    environment = {**os.environ, "REQUIRE_BACKENDS": part.backend if part.backend in required else ""}
    command = [sys.executable, "-m", "pytest", *part.tests]
    try:
        if part.build is not None:
            part.build()
    except Missing as gap:
        say(str(gap))
    with tempfile.TemporaryFile("w+") as told:
        # In a session of its own, it is ended by us alone, and so in order.
        running = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=None if shown else told,
            stderr=None if shown else subprocess.STDOUT,
            start_new_session=True,
        )
        RUNNING.add(running)
        code = running.wait()
        RUNNING.discard(running)
        told.seek(0)
        output = told.read()
    return Result(part, code in (0, NOTHING_COLLECTED), time.monotonic() - began, output)


def run_all(parts: Sequence[Part], required: Iterable[str]) -> list[Result]:
    """In the order in which they ended. The output of one alone is shown as it comes."""
    results: list[Result] = []
    printing = threading.Lock()

    def run_one(part: Part) -> None:
        with printing:
            say(f"=== {part.name}: begun")
        result = run(part, required, shown=len(parts) == 1)
        with printing:
            if result.output:
                say(f"\n=== {part.name}\n{result.output}")
            results.append(result)

    with ThreadPoolExecutor(IN_PARALLEL) as threads:
        try:
            for _ in threads.map(run_one, parts):
                pass
        finally:
            for running in list(RUNNING):  # somebody ends this early: pytest is to end its servers
                running.send_signal(signal.SIGINT)
    return results


def summary(results: Sequence[Result], seconds: float) -> str:
    counts = Counter[str]()
    for result in results:
        closing = result.output.rstrip().rpartition("\n")[2]
        counts.update({kind: int(number) for number, kind in COUNTED.findall(closing)})
    failed = counts["failed"] + counts["error"]
    lines = ["=== parts", *(result.line for result in results), f"{'together':12} {clock(seconds):>6}"]
    return "\n".join([*lines, f"{counts['passed']} passed, {failed} failed, {counts['skipped']} skipped"])


def main(names: Sequence[str]) -> int:
    required = {name.strip() for name in os.environ.get("REQUIRE_BACKENDS", "").split(",")} - {""}
    for wanted, there, what in ((required, BACKENDS, "REQUIRE_BACKENDS names"), (set(names), PARTS, "there is no part")):
        if unknown := wanted - set(there):
            say(f"{what} {', '.join(sorted(unknown))}; these exist: {', '.join(there)}.")
            return 2
    began = time.monotonic()
    test_servers.packages()
    results = run_all([part for part in PARTS.values() if part.name in names] if names else SUITE, required)
    say(summary(results, time.monotonic() - began) if len(results) > 1 else f"=== {results[0].line}")
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
