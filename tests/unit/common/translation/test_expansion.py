from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.errors import BadRequest
from interlink_common.translation.expansion import expand

VARIABLES = {"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": "", "foo.bar": "dots"}

# The table of third_party/forked/golang/expansion/expand_test.go, in this suite's words, and what is not in it.
CASES = [
    ("", ""),
    ("$(VAR_A)", "A"),
    ("___$(VAR_B)___", "___B___"),
    ("$(VAR_A)-$(VAR_B)$(VAR_C)", "A-BC"),
    ("$(VAR_A)_1", "A_1"),
    ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
    ("$$(VAR_A)_$$(VAR_B)", "$(VAR_A)_$(VAR_B)"),
    ("$$$(VAR_A)", "$A"),
    ("$$$$(VAR_A)", "$$(VAR_A)"),
    ("f000-$$VAR_A", "f000-$VAR_A"),
    ("$(VAR_REF)", "$(VAR_A)"),
    ("foo$(VAR_EMPTY)bar", "foobar"),
    ("$(VAR_DNE)", "$(VAR_DNE)"),
    ("$()", "$()"),
    ("$(foo.bar)", "dots"),
    ("$(VAR_A", "$(VAR_A"),
    ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
    ("$VAR_A ${VAR_A} $ $", "$VAR_A ${VAR_A} $ $"),
    ("$", "$"),
    ("\n$(VAR_A)\r\n", "\nA\r\n"),
    ("$(VAR\nA)", "$(VAR\nA)"),
    (") $$( $$", ") $( $"),
    ("$é$(VAR_A)", "$éA"),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, VARIABLES, "f") == expected


def by_the_letter(text: str, variables: dict[str, str]) -> str:
    """Kubernetes' loop over the characters, as its source describes it."""
    out, cursor = "", 0
    while cursor < len(text):
        rest = text[cursor + 1 :]
        if text[cursor] != "$" or not rest:
            out += text[cursor]
            cursor += 1
        elif rest[0] == "$":
            out += "$"
            cursor += 2
        elif rest[0] == "(" and ")" in rest:
            name = rest[1 : rest.index(")")]
            out += variables.get(name, f"$({name})")
            cursor += len(name) + 3
        else:
            out += "$" + rest[0]
            cursor += 2
    return out


@given(st.text("$()AB x"), st.dictionaries(st.text("AB", max_size=2), st.text("$()AB")))
def test_expansion_agrees_with_kubernetes_loop(text: str, variables: dict[str, str]) -> None:
    assert expand(text, variables, "f") == by_the_letter(text, variables)


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_a_text_with_every_operator_doubled_comes_out_as_it_was(text: str, variables: dict[str, str]) -> None:
    assert expand(text.replace("$", "$$"), variables, "f") == text


@pytest.mark.parametrize("text", ["$(A)" * 3, "x" * 131072, "é" * 65536])
def test_more_than_linux_can_pass_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^f is longer than the 128 KiB that Linux can pass to a process\.$"):
        expand(text, {"A": "x" * 60_000}, "f")


def test_a_million_unclosed_references_are_no_trouble() -> None:
    with pytest.raises(BadRequest, match="128 KiB"):
        expand("$(" * 1_000_000, {}, "f")
    assert expand("$(" * 60_000, {}, "f") == "$(" * 60_000
