"""`podrunner.pyz DIRECTORY`: carries the pod whose files are in the directory. `podrunner.pyz within`: see there."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Never returns. Nothing that is made while modules are imported is garbage."""
    gc.disable()
    if sys.argv[1:] == ["within"]:
        from interlink_common.podrunner.within import main as within  # noqa: PLC0415  started for every probe, so without the rest

        within()
    from interlink_common.podrunner.job import run_job  # noqa: PLC0415  see above

    sys.exit(run_job(sys.argv[1:]))
