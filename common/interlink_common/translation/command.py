"""`command` and `args`: interLink leaves their `$(VAR)` to the plugin in both modes of the environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from interlink_common.translation.expansion import check_total, expand
from interlink_common.translation.names import check_text


def arguments(words: Sequence[str] | None, env: Mapping[str, str], field: str) -> tuple[str, ...] | None:
    """The words with references to `env` expanded; None (the image's own) if there are none. Raises BadRequest."""
    if not words:
        return None
    expanded: list[str] = []
    total = 0
    for index, word in enumerate(words):
        expanded.append(check_text(expand(word, env, f"{field}[{index}]"), f"{field}[{index}]"))
        total += len(expanded[-1])
        check_total(total, field)
    return tuple(expanded)
