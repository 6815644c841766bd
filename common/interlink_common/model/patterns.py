"""Keys of an operator's map, as patterns of the names that they fit, and which of several fitting ones wins. Pure.

A key is a name or a pattern (`*`, `?`, `[abc]`), and before a slash the namespace that may use it, or a pattern of it. `{user}` in a
pattern stands for one or more characters and is bound to them. The most specific key wins, in whatever order the map is: an exact namespace
before a pattern of it before what fits every namespace; then an exact name before a pattern; then the pattern that fixes more characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Optional, TypeVar

Value = TypeVar("Value")
Rank = tuple[int, ...]

_TOKEN = re.compile(r"\{(?P<variable>[A-Za-z][A-Za-z0-9_]*)\}|(?P<set>\[!?[A-Za-z0-9._-]+\])|(?P<plain>[^*?{}\[\]])|.", re.DOTALL)


@dataclass(frozen=True)
class Pattern:
    """A name or a pattern of names, compiled. `fixed`: how many characters it fixes."""

    regex: re.Pattern[str]
    fixed: int
    is_exact: bool

    def bound(self, name: str) -> Optional[dict[str, str]]:
        """What the variables are bound to; None: the name does not fit."""
        found = self.regex.fullmatch(name)
        return {variable: found[variable] for variable in self.variables} if found else None

    @property
    def variables(self) -> list[str]:
        return [variable for variable in self.regex.groupindex if not variable.startswith("_")]

    @property
    def rank(self) -> tuple[int, int]:
        """The smaller the more specific."""
        return -int(self.is_exact), -self.fixed


@lru_cache(maxsize=4096)
def compiled(text: str) -> Pattern:
    """Raises ValueError with words on what is wrong."""
    if not text:
        raise ValueError("is empty")
    wildcards: list[str] = []
    pieces, fixed = [""], 0
    for token in _TOKEN.finditer(text):
        wildcard = _wildcard(token)
        if wildcard and wildcards and not pieces[-1]:
            if wildcard != wildcards[-1]:
                raise ValueError("has a {name} beside another or beside *: what it stands for would be a guess")
        elif wildcard:
            wildcards.append(wildcard)
            pieces.append("")
        else:
            pieces[-1] += _piece(token)
            fixed += token["plain"] is not None
    try:
        return Pattern(re.compile(_joined(pieces, wildcards), re.DOTALL), fixed, fixed == len(text))
    except re.error:
        raise ValueError("has a {name} twice, or a [ ] that means nothing") from None


def _wildcard(token: re.Match[str]) -> str:
    """What stands for any number of characters, else ""."""
    if token["variable"] is not None:
        return f"(?P<{token['variable']}>.+)"
    return ".*" if token[0] == "*" else ""


def _piece(token: re.Match[str]) -> str:
    """What stands for one character. Raises ValueError."""
    if token["plain"] is not None:
        return re.escape(token[0])
    if token["set"] is not None:
        return token["set"].replace("[!", "[^")
    if token[0] == "?":
        return "."
    raise ValueError("has a brace that holds no {name}" if token[0] in "{}" else "has a [ ] that means nothing")


def _joined(pieces: list[str], wildcards: list[str]) -> str:
    """One expression. All wildcards but the last stand for as little as they can and are not tried again, so a match takes linear time."""
    text = pieces[0]
    for number, (wildcard, piece) in enumerate(zip(wildcards, pieces[1:]), 1):
        if number < len(wildcards):
            least = wildcard.replace(".*", ".*?").replace(".+", ".+?")
            text += f"(?=(?P<_{number}>{least}{piece}))(?P=_{number})"
        else:
            text += wildcard + piece
    return text


@lru_cache(maxsize=4096)
def split(key: str) -> tuple[Optional[Pattern], Pattern]:
    """A key as (pattern of the namespace if it has one, pattern of the name). Raises ValueError."""
    namespace, slash, name = key.partition("/")
    if not slash:
        return None, compiled(key)
    if "/" in name:
        raise ValueError("has more than one slash")
    return compiled(namespace), compiled(name)


def require_patterns(keys: Iterable[str]) -> None:
    """Raises ValueError for a key that can't mean anything."""
    for key in keys:
        with named_in_errors(key):
            compiled(key)


@contextmanager
def named_in_errors(key: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{key or 'a key'} {error}") from None


def fit(entries: Mapping[str, Value], name: str) -> Optional[Value]:
    """What the most specific key stands for that fits the name."""
    key = best(entries, name)
    return None if key is None else entries[key]


def best(keys: Iterable[str], name: str) -> Optional[str]:
    """The most specific key that fits the name."""
    fitting = (key for key in keys if compiled(key).bound(name) is not None)
    return min(fitting, key=lambda key: (compiled(key).rank, key), default=None)


def fitting_key(keys: Iterable[str], namespace: str, name: str) -> Optional[tuple[str, dict[str, str]]]:
    """The most specific key, and what its variables are bound to. A name with a slash fits none: no pod reaches another namespace so."""
    found: list[tuple[Rank, str, dict[str, str]]] = []
    for key in keys:
        of_namespace, of_name = split(key)
        inner, outer = of_name.bound(name), of_namespace.bound(namespace) if of_namespace else {}
        if inner is not None and outer is not None and "/" not in name:
            found.append(((*rank_of_namespace(of_namespace), *of_name.rank, of_namespace is None), key, {**outer, **inner}))
    _, key, bound = min(found, key=lambda each: each[:2], default=((), "", {}))
    return (key, bound) if found else None


def rank_of_namespace(pattern: Optional[Pattern]) -> tuple[int, int]:
    return pattern.rank if pattern else (0, 0)
