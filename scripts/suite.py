"""What `make test` runs: first what needs no server, on both cores; then one backend after the other, each in a process of its own.

Two backends' servers at once are too much for a small machine, and what waits for an answer of theirs would fail for that. A test of a
real server that fails is run again, up to twice; the summary tells of it as RERUN.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from scripts.packages import say

BACKENDS = ("docker", "podrunner", "htcondor", "arc", "kueue")
NOTHING_COLLECTED = 5
UNITS = ["-n", "2", "-m", "not live and not e2e"]
CHAIN = ["tests/e2e"]
AGAIN = ["--reruns", "2", "-r", "fERs"]


def of_backend(name: str) -> list[str]:
    return [str(path) for path in (Path(f"tests/contract/test_{name}.py"), Path(f"tests/live/{name}")) if path.exists()]


def run(title: str, arguments: list[str], required: str = "") -> bool:
    """Whether all of it passed. `required`: the backend that must run, by REQUIRE_BACKENDS."""
    say(f"\n=== {title}")
    done = subprocess.run([sys.executable, "-m", "pytest", *arguments], env={**os.environ, "REQUIRE_BACKENDS": required}, check=False)
    return done.returncode in (0, NOTHING_COLLECTED)


def main() -> int:
    wanted = {name.strip() for name in os.environ.get("REQUIRE_BACKENDS", "").split(",")} - {""}
    if unknown := wanted - set(BACKENDS):
        say(f"REQUIRE_BACKENDS names {', '.join(sorted(unknown))}; these exist: {', '.join(BACKENDS)}.")
        return 2
    passed = {"what needs no server": run("what needs no server", UNITS)}
    for name in BACKENDS:
        passed[name] = run(name, [*AGAIN, *of_backend(name)], name if name in wanted else "")
    passed["the chain"] = run("interLink's own programs in front of a plugin", [*AGAIN, *CHAIN])
    failed = [title for title, good in passed.items() if not good]
    say(f"\n=== {'FAILED: ' + ', '.join(failed) if failed else 'all passed'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
