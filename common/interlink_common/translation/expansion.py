"""`$(VAR)` and `$$` as Kubernetes expands them (third_party/forked/golang/expansion), in linear time and bounded space.

An unknown variable stays as it is written, `$$` is one `$`, and what was inserted is not expanded again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from interlink_common.translation.checks import check_text, invalid

_MAX_BYTES = 128 * 1024
"""Longest argument or environment string that Linux starts a process with (MAX_ARG_STRLEN)."""
_MAX_TOTAL_BYTES = 6 * 1024 * 1024
"""Most that all of them together can have, whatever the limits of the machine (fs/exec.c, bprm_stack_limits)."""

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str], field: str, *, missing: Callable[[str], str] | None = None) -> str:
    """`text` with its references replaced. `missing` gives the text for an unknown variable, or raises.

    Raises BadRequest if the result is longer than Linux can pass to a process: references to references grow exponentially.
    """
    if "$" not in text:
        return check_length(text, field)
    # Behind the last parenthesis nothing can be a reference, and a search there would take quadratic time.
    closed = text.rfind(")") + 1
    pieces: list[str] = []
    size = done = 0
    for match in _REFERENCE.finditer(text, 0, closed):
        name = match.group(1)
        replacement = "$" if name is None else variables.get(name)
        if replacement is None:
            replacement = missing(name) if missing else match.group()
        pieces += (text[done : match.start()], replacement)
        size += match.start() - done + len(replacement)
        if size > _MAX_BYTES:
            break
        done = match.end()
    else:
        pieces += (text[done:closed], text[closed:].replace("$$", "$"))
    return check_length("".join(pieces), field)


def check_length(text: str, field: str) -> str:
    """`text` if a process can be started with it. Raises BadRequest."""
    if len(text) > _MAX_BYTES or (len(text) > _MAX_BYTES // 4 and len(text.encode()) >= _MAX_BYTES):
        raise invalid(field, "is longer than the 128 KiB that Linux can pass to a process")
    return text


def check_total(characters: int, field: str) -> None:
    """Raises BadRequest if strings of that total length are more than a process can be started with."""
    if characters > _MAX_TOTAL_BYTES:
        raise invalid(field, "is longer than the 6 MiB that Linux can pass to a process")


def arguments(words: Sequence[str] | None, env: Mapping[str, str], field: str) -> tuple[str, ...] | None:
    """`command` or `args` with references to `env` expanded; None (the image's own) if there are none. Raises BadRequest.

    interLink leaves their `$(VAR)` to the plugin in both modes of the environment.
    """
    if not words:
        return None
    expanded: list[str] = []
    total = 0
    for index, word in enumerate(words):
        expanded.append(check_text(expand(word, env, f"{field}[{index}]"), f"{field}[{index}]"))
        total += len(expanded[-1])
        check_total(total, field)
    return tuple(expanded)
