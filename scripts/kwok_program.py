"""kwok, which plays thousands of pods on nodes that are none: built once for the tests from the Go module beside the test servers."""

from __future__ import annotations

import os
from pathlib import Path

from scripts.kubernetes_programs import cache_root, compile_go, made_of
from scripts.packages import say

MODULE = Path(__file__).parents[1] / "tests/servers/kwok_program"
PACKAGE = "sigs.k8s.io/kwok/cmd/kwok"


def path() -> Path:
    """Where the program is, or will be: in a folder that is named by what it is made of."""
    return cache_root() / f"kwok-{made_of(MODULE)}" / "kwok"


def missing() -> bool:
    return not os.access(path(), os.X_OK)


def build() -> None:
    """Builds it if it is not there yet, saying so. Raises Missing where that is not possible."""
    if missing():
        say(f"Building kwok, once, into {path().parent}; that takes a minute.")
        compile_go(MODULE, PACKAGE, path())
