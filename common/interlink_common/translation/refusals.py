"""The two ways to say no to a pod, as sentences that interLink can show: the field's path first, then what is expected."""

from __future__ import annotations

from interlink_common.contract.sentences import sentence
from interlink_common.errors import BadRequest, Refused


def invalid(field: str, expected: str) -> BadRequest:
    """A pod that a real API server would have rejected. `expected` continues the sentence, e.g. "must not be negative"."""
    return BadRequest(sentence(f"{field} {expected}."))


def refused(field: str, reason: str) -> Refused:
    """A valid pod that can't be run as it asks."""
    return Refused(sentence(f"{field} {reason}."))
