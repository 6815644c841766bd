"""What our answers hold besides statuses: an error's `sentence`, and the answer to a ping."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from interlink_common.backend import NodeCapacity

MAX_CHARACTERS = 300
_SUBSTITUTES = str.maketrans({"<": "(", ">": ")", "&": "+", '"': "”", "'": "’"})
_SPACES = re.compile(r"\s+")
_CUT = "…"


def sentence(text: str) -> str:
    """`text` as interLink can show it: one line of at most 300 printable characters, none of them `< > & " '`. Idempotent.

    interLink wraps an error's body in Go noise and HTML-escapes it.

    Control, format and surrogate characters go (Unicode categories C*): they could forge lines or reorder what a person reads.
    """
    text = text[: 20 * MAX_CHARACTERS].translate(_SUBSTITUTES)
    printable = "".join(c for c in _SPACES.sub(" ", text) if unicodedata.category(c)[0] != "C")
    line = _SPACES.sub(" ", printable).strip()
    if len(line) <= MAX_CHARACTERS:
        return line
    return line[: MAX_CHARACTERS - 1].rstrip() + _CUT


def ping_answer(capacity: NodeCapacity) -> dict[str, Any]:
    """The answer to GET /status with the body `[]`: what the virtual node offers, as interLink 0.6.2 reads it.

    A resource that is not known is left out, which leaves the node as it is.
    """
    resources: dict[str, Any] = {}
    if capacity.cpu_millis is not None:
        whole, rest = divmod(capacity.cpu_millis, 1000)
        resources["cpu"] = f"{capacity.cpu_millis}m" if rest else str(whole)
    if capacity.memory_bytes is not None:
        resources["memory"] = _bytes(capacity.memory_bytes)
    if capacity.pods is not None:
        resources["pods"] = str(capacity.pods)
    if capacity.devices:
        resources["accelerators"] = [{"resourceType": name, "available": str(count)} for name, count in sorted(capacity.devices.items())]
    return {"status": "ok", "resources": resources}


def _bytes(count: int) -> str:
    """The largest binary unit that divides `count`, e.g. 512Gi."""
    for suffix, shift in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift}{suffix}"
    return str(count)
