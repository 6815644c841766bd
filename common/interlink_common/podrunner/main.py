"""`podrunner.pyz DIRECTORY` runs the pod whose files are in the directory. `podrunner.pyz namespaces`: see the module of this name."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Never returns. Nothing that is made while modules are imported is garbage."""
    gc.disable()
    if sys.argv[1:] == ["namespaces"]:
        from interlink_common.podrunner.namespaces import main as namespaces  # noqa: PLC0415  started for every probe, so without the rest

        namespaces()
    from interlink_common.podrunner.job import run_job  # noqa: PLC0415  see above

    sys.exit(run_job(sys.argv[1:]))
