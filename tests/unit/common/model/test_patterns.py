"""Keys of maps: what fits, which wins, and what can't be meant."""

from __future__ import annotations

import random
import time
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.model.patterns import compiled, fit, fitting_key, split


@pytest.mark.parametrize(
    ("keys", "namespace", "name", "winner"),
    [
        (["data"], "a", "data", "data"),
        (["data"], "a", "database", None),
        (["a/data"], "a", "data", "a/data"),
        (["a/data"], "b", "data", None),
        (["data", "a/data"], "a", "data", "a/data"),
        (["data", "a/data"], "b", "data", "data"),
        (["data", "dat*", "*"], "a", "data", "data"),
        (["d*", "dat*", "*"], "a", "data", "dat*"),
        (["data", "a/*"], "a", "data", "a/*"),
        (["data", "*/*"], "a", "data", "data"),
        (["data", "*/data"], "a", "data", "*/data"),
        (["home", "{team}/{claim}"], "a", "home", "home"),
        (["home", "team-*/{claim}"], "team-a", "home", "team-*/{claim}"),
        (["team-*/data", "team-b*/data"], "team-b7", "data", "team-b*/data"),
        (["team-*/x", "team-b/*"], "team-b", "x", "team-b/*"),
        (["claim-{user}", "claim-bob"], "a", "claim-bob", "claim-bob"),
        (["{user}", "claim-{user}"], "a", "claim-bob", "claim-{user}"),
        (["da?a", "d[!e]ta", "d[a-z]ta"], "a", "data", "d[!e]ta"),
        (["d[!a]ta"], "a", "data", None),
        (["a*", "*a"], "n", "ana", "*a"),
        (["*"], "a", "b/data", None),
        (["b/data"], "a", "b/data", None),
        (["b/data"], "b", "b/data", None),
        (["*/*"], "a", "b/data", None),
    ],
)
def test_the_most_specific_key_wins_in_any_order(keys: list[str], namespace: str, name: str, winner: str | None) -> None:
    for ordered in (keys, keys[::-1], random.Random(1).sample(keys, len(keys))):
        found = fitting_key(ordered, namespace, name)
        assert (found[0] if found else None) == winner


@pytest.mark.parametrize(
    ("key", "namespace", "name", "bound"),
    [
        ("claim-{user}", "a", "claim-bob-x", {"user": "bob-x"}),
        ("claim-{user}", "a", "claim-", None),
        ("{team}/{data}", "a", "b", {"team": "a", "data": "b"}),
        ("{a}-{b}", "n", "x-y-z", {"a": "x", "b": "y-z"}),
        ("{a}-{b}-{c}", "n", "x-y-z", {"a": "x", "b": "y", "c": "z"}),
        ("*.{a}", "n", "x.y.z", {"a": "y.z"}),
        ("?{a}", "n", "xyz", {"a": "yz"}),
    ],
)
def test_variables(key: str, namespace: str, name: str, bound: dict[str, str] | None) -> None:
    found = fitting_key([key], namespace, name)
    assert (found[1] if found else None) == bound


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "is empty"),
        ("/data", "is empty"),
        ("a/", "is empty"),
        ("a/b/c", "more than one slash"),
        ("{user", "brace"),
        ("user}", "brace"),
        ("{}", "brace"),
        ("{{user}}", "brace"),
        ("{a b}", "brace"),
        ("{_1}", "brace"),
        ("{a}{b}", "guess"),
        ("*{a}", "guess"),
        ("{a}*", "guess"),
        ("{a}-{a}", "twice"),
        ("[", r"\[ \]"),
        ("[z-a]", r"\[ \]"),
        ("[]x", r"\[ \]"),
        ("x]", r"\[ \]"),
    ],
)
def test_what_can_not_be_meant(key: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        split(key)


@given(st.text("ab-*?", min_size=1, max_size=8), st.text("ab-", max_size=8))
def test_a_pattern_fits_what_fnmatch_says(pattern: str, name: str) -> None:
    assert (compiled(pattern).bound(name) is not None) == fnmatchcase(name, pattern)


@given(st.lists(st.text("ab-*", min_size=1, max_size=5), unique=True), st.text("ab-", min_size=1, max_size=5), st.randoms())
def test_the_winner_does_not_depend_on_the_order(keys: list[str], name: str, order: random.Random) -> None:
    shuffled = order.sample(keys, len(keys))
    assert fit({key: key for key in keys}, name) == fit({key: key for key in shuffled}, name)
    assert fitting_key(keys, "n", name) == fitting_key(shuffled, "n", name)


def test_no_name_makes_a_match_slow() -> None:
    begin = time.monotonic()
    assert compiled("{a}-a{b}-a{c}-a{d}-a{e}-a{f}x").bound("a-" * 5000) is None
    assert time.monotonic() - begin < 1
