from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.errors import BadRequest
from interlink_common.translation.checks import check_config_key, check_label, check_subdomain, check_unique
from interlink_common.translation.names import safe_name

UID = "caee730a-d4b4-4b88-8ca4-5298e18f4b6e"


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("default", "my-pod", UID), "default-my-pod-caee730a-d4b4-4b88-8ca4-5298e18f4b6e-b7b655797e"),
        (("a",), "a-4162fddd39"),
        (("A",), "a-3addd7d5a0"),
        ((), "x-e3b0c44298"),
        (("../..; rm -rf /", "é"), "rm-rf-2e2c6fbc6e"),
    ],
)
def test_safe_names_stay_what_they_were_in_earlier_releases(parts: tuple[str, ...], name: str) -> None:
    assert safe_name(*parts) == name


@given(st.lists(st.text(st.characters(codec=None), max_size=80), max_size=4), st.integers(12, 63))
def test_a_safe_name_is_a_short_dns_label(parts: list[str], max_length: int) -> None:
    name = safe_name(*parts, max_length=max_length)
    assert len(name) <= max_length
    assert check_label(name, "f") == name


@given(st.lists(st.lists(st.text(), max_size=3).map(tuple), unique=True, min_size=2, max_size=5))
def test_different_parts_have_different_names(several: list[tuple[str, ...]]) -> None:
    assert len({safe_name(*parts) for parts in several}) == len(several)


@pytest.mark.parametrize("name", ["a", "a-b", "0", "x" * 63])
def test_labels(name: str) -> None:
    assert check_label(name, "f") == name
    assert check_subdomain(f"{name}.{name}", "f") == f"{name}.{name}"


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a/b", "..", "a\n", "é", "x" * 64])
def test_what_is_no_label(name: str) -> None:
    with pytest.raises(BadRequest, match=r"^f must be a DNS label"):
        check_label(name, "f")


@pytest.mark.parametrize("name", ["", ".", "a..b", "a.", ".a", "a\n", "../a", "a" * 254])
def test_what_is_no_subdomain(name: str) -> None:
    with pytest.raises(BadRequest, match=r"^f must be a DNS subdomain"):
        check_subdomain(name, "f")


@pytest.mark.parametrize("key", ["a.conf", ".hidden", "UPPER_case-1", "a..b"])
def test_config_keys(key: str) -> None:
    assert check_config_key(key, "f") == key


@pytest.mark.parametrize("key", ["", ".", "..", "..data", "a/b", "a b", "é", "k\n", "x" * 254])
def test_what_is_no_config_key(key: str) -> None:
    with pytest.raises(BadRequest, match=re.escape("f has a key that is not made of")):
        check_config_key(key, "f")


def test_a_name_that_comes_twice_is_named() -> None:
    check_unique(["a", "b"], "f", "containers")
    with pytest.raises(BadRequest, match=r"^f has two containers named b\.$"):
        check_unique(["a", "b", "b"], "f", "containers")
