"""start.sh: the only shell of a job, with no byte of the pod's in it. It finds a Python and becomes podrunner."""

from __future__ import annotations

import re
from collections.abc import Sequence

from interlink_common.podrunner.exitcodes import MEANINGS, NO_PYTHON

USUAL_PYTHONS = (
    "python3",
    *(f"python3.{minor}" for minor in range(14, 8, -1)),
    "/usr/bin/python3",
    "/usr/libexec/platform-python",
    "/cvmfs/sft.cern.ch/lcg/releases/Python/3.11.9-2924c/x86_64-el9-gcc13-opt/bin/python3",
)
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._+/-]+")

TEXT = """\
#!/bin/sh
# Starts podrunner in the directory of this job with the first Python 3.9 or newer.
# HTCondor gives a job no PATH, and without one Python does not know its own.
PATH=${{PATH:-/usr/local/bin:/usr/bin:/bin}}
export PATH
directory=${{_CONDOR_SCRATCH_DIR:-$PWD}}
for python in {pythons}; do
    if "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
        exec "$python" -I -S -B "$directory/{archive}" "$directory"
    fi
done
echo 'podrunner: {reason}' >&2
echo '{{"failed":{{"reason":"{reason}","exit_code":{no_python}}},"time":'"$(date +%s)"'000000000}}' >>"$directory/events.jsonl"
exit {no_python}
"""


def start_script(pythons: Sequence[str] = (), *, archive: str = "podrunner.pyz") -> bytes:
    """The text of start.sh. `archive`: the file that is podrunner. Raises ValueError for a candidate that is not a plain absolute path."""
    for path in pythons:
        if not PLAIN_PATH.fullmatch(path):
            raise ValueError(f"{path!r} is not a plain absolute path of a Python")
    return TEXT.format(
        archive=archive, pythons=" ".join((*pythons, *USUAL_PYTHONS)), reason=MEANINGS[NO_PYTHON], no_python=NO_PYTHON
    ).encode()
