"""`sentence`: makes any text fit to be shown by interLink, which wraps an error's body in Go noise and HTML-escapes it."""

from __future__ import annotations

import re
import unicodedata

MAX_CHARACTERS = 300
_SUBSTITUTES = str.maketrans({"<": "(", ">": ")", "&": "+", '"': "”", "'": "’"})
_SPACES = re.compile(r"\s+")
_CUT = "…"


def sentence(text: str) -> str:
    """One line of at most 300 printable characters, none of them `< > & " '`. Idempotent.

    Control, format and surrogate characters go (Unicode categories C*): they could forge lines or reorder what a person reads.
    """
    text = text[: 20 * MAX_CHARACTERS].translate(_SUBSTITUTES)
    printable = "".join(c for c in _SPACES.sub(" ", text) if unicodedata.category(c)[0] != "C")
    line = _SPACES.sub(" ", printable).strip()
    if len(line) <= MAX_CHARACTERS:
        return line
    return line[: MAX_CHARACTERS - 1].rstrip() + _CUT
