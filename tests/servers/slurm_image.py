"""What the Slurm of the tests is made of: the release that Debian's unstable suite has."""

from __future__ import annotations

from tests.servers.debian_root import BUSYBOX_IMAGE, INSTALL, DebianRoot

PACKAGES = ("apptainer", "busybox-static", "munge", "procps", "python3", "slurm-wlm")

CURRENT = DebianRoot("slurm", "sid", PACKAGES, INSTALL + BUSYBOX_IMAGE)
"""Slurm 24.11 or newer, and apptainer, which Debian has in no other suite."""
