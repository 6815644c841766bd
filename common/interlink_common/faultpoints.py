"""Named places where a test kills this process, so that every gap between two durable steps is proven to heal.

Inert unless `INTERLINK_FAULT` names the place; the kill is a real SIGKILL, because nothing gentler proves a recovery.
"""

from __future__ import annotations

import os
import signal

VARIABLE = "INTERLINK_FAULT"
RECORDED = "create-recorded"
SUBMITTED = "create-submitted"
JID_STORED = "create-jid-stored"
DELETE_RECORDED = "delete-recorded"
CANCELLED = "delete-cancelled"
ALL = (RECORDED, SUBMITTED, JID_STORED, DELETE_RECORDED, CANCELLED)


def fault_point(name: str) -> None:
    """Kills this process if `INTERLINK_FAULT` is `name`."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
