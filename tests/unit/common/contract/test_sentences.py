from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlink_common.contract.answers import MAX_CHARACTERS, sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a plain sentence.", "a plain sentence."),
        ("two\nlines\r\n\tand  spaces ", "two lines and spaces"),
        ('<b> & "it\'s"', "(b) + ”it’s”"),
        ("bell\a, escape\x1b[31m, reversed\u202e, lone\ud800", "bell, escape[31m, reversed, lone"),
        ("x" * 301, "x" * 299 + "…"),
        ("", ""),
    ],
)
def test_sentence(text: str, expected: str) -> None:
    assert sentence(text) == expected


@given(st.text(st.characters(codec=None)))
@example("\x00 \x00")
@example(" " * 400 + "x" * 400)
def test_a_sentence_is_always_fit_for_interlink(text: str) -> None:
    line = sentence(text)
    assert len(line) <= MAX_CHARACTERS
    assert not set(line) & set("<>&\"'\n\r")
    assert all(unicodedata.category(character)[0] != "C" for character in line)
    assert sentence(line) == line
