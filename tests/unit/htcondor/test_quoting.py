"""Any text is an ad's string and comes back, through the parser of ClassAds and through the submit language."""

from __future__ import annotations

import re
from collections.abc import Callable

import classad2
import htcondor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlink_htcondor.quoting import attribute_part, decoded, encoded, quoted

HOSTILE = [
    '"',
    "\\",
    '\\"',
    "$(HOME)",
    "$$(x)",
    "$ENV(HOME)",
    "%24",
    "\n",
    "\r\n",
    "\x1f",
    "\x00",
    "a\tb",
    " a ",
    "é",
    "\ud800",
    "queue 5",
    ")",
    "",
]


def every_hostile_text(test: Callable[..., None]) -> Callable[..., None]:
    for text in HOSTILE:
        test = example(text)(test)
    return test


@every_hostile_text
@given(st.text())
def test_a_string_literal_is_the_text(text: str) -> None:
    assert classad2.ExprTree(quoted(text)).eval() == encoded(text)
    assert decoded(encoded(text)) == text


@every_hostile_text
@given(st.text())
def test_it_is_one_line_that_nothing_trims_or_expands(text: str) -> None:
    literal = quoted(text)
    assert literal == literal.strip()
    assert not re.search(r"[\x00-\x1f$\\\x7f-\U0010ffff]", literal)
    assert literal.count('"') == 2


@every_hostile_text
@given(st.text())
def test_the_submit_language_leaves_it_alone(text: str) -> None:
    submit = htcondor2.Submit({"executable": "/bin/true", "My.Text": quoted(text)})
    assert submit.expand("My.Text") == quoted(text)


@given(st.text(), st.text())
def test_an_attribute_is_a_name_and_no_two_are_alike(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_]*", attribute_part(one))
    assert (attribute_part(one) == attribute_part(other)) == (one == other)


@pytest.mark.parametrize("text", ["app.kubernetes.io/name", "batch", "Jane Doe <jane@example.org>", '{"a": 1}'])
def test_what_people_write_stays_readable(text: str) -> None:
    assert encoded(text).replace("%22", '"') == text
