"""What the pools of the tests are made of: two releases of HTCondor that Debian has."""

from __future__ import annotations

from tests.servers.debian_root import BUSYBOX_IMAGE, INSTALL, DebianRoot

COMMON_PACKAGES = ("busybox-static", "condor", "iptables", "procps", "python3")
PREPARE = INSTALL + BUSYBOX_IMAGE

CURRENT = DebianRoot("htcondor", "sid", (*COMMON_PACKAGES, "apptainer"), PREPARE)
"""HTCondor 25.x, and apptainer, which Debian has in no other suite."""
OLDER = DebianRoot("htcondor", "trixie", COMMON_PACKAGES, PREPARE)
"""HTCondor 23.9."""
