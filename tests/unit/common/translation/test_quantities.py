from __future__ import annotations

import contextlib
from decimal import ROUND_UP, Context, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.errors import BadRequest
from interlink_common.translation.quantities import exact_whole, milli, parse_quantity, whole


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("1", 1),
        (2, 2),
        (1.5, Fraction(3, 2)),
        ("+1.", 1),
        (".5", Fraction(1, 2)),
        ("-250m", Fraction(-1, 4)),
        ("1n", Fraction(1, 10**9)),
        ("1u", Fraction(1, 10**6)),
        ("1k", 1000),
        ("1M", 10**6),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1P", 10**15),
        ("1E", 10**18),
        ("1Ki", 1024),
        ("1.5Gi", 3 << 29),
        ("1Ti", 1 << 40),
        ("1Pi", 1 << 50),
        ("7Ei", 7 << 60),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1.5e-3", Fraction(3, 2000)),
        ("12e+2", 1200),
        ("0.1n", Fraction(1, 10**9)),
        ("-0.1n", Fraction(-1, 10**9)),
        ("0E999", 0),
    ],
)
def test_quantity(text: str | float, number: Fraction) -> None:
    assert parse_quantity(text, "f") == number


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1ki", "1K", "1KI", "m", "1mi", "1e", "1e1.5", "--1", "0x1", "1_0", "١", "inf", "nan", "1" * 65, "."]
)
def test_what_is_no_quantity_names_the_field(text: str) -> None:
    with pytest.raises(BadRequest, match=r"^f\.cpu must be a quantity such as 500m, 1\.5 or 64Mi\.$"):
        parse_quantity(text, "f.cpu")


@pytest.mark.parametrize("text", ["8Ei", "1e19", "1e999", "9223372036854775808", 1e300])
def test_an_absurd_size_is_refused(text: str | float) -> None:
    with pytest.raises(BadRequest, match="larger than any machine"):
        parse_quantity(text, "f")


@pytest.mark.parametrize(
    ("text", "in_units", "in_thousandths"),
    [("500m", 1, 500), ("0.5m", 1, 1), ("1.0001", 2, 1001), ("2", 2, 2000), ("1n", 1, 1), ("0", 0, 0)],
)
def test_values_are_rounded_up(text: str, in_units: int, in_thousandths: int) -> None:
    assert (whole(text, "f"), milli(text, "f")) == (in_units, in_thousandths)


def test_negative_amounts_and_fractions_of_devices_are_refused() -> None:
    with pytest.raises(BadRequest, match=r"^f must not be negative\.$"):
        whole("-1", "f")
    with pytest.raises(BadRequest, match=r"^f must be a whole number\.$"):
        exact_whole("1.5", "f")
    with pytest.raises(BadRequest, match="larger than any machine"):
        milli("9E", "f")


EXACT = Context(prec=60)
SUFFIXES = {
    "": "1",
    "m": "1e-3",
    "u": "1e-6",
    "n": "1e-9",
    "k": "1e3",
    "M": "1e6",
    "G": "1e9",
    "Ki": "1024",
    "Mi": "1048576",
    "e2": "100",
    "E-2": "0.01",
}


@given(st.decimals(min_value=0, max_value=10**6, places=4), st.sampled_from(sorted(SUFFIXES)))
def test_quantities_agree_with_decimal_arithmetic(number: Decimal, suffix: str) -> None:
    text = f"{number:f}{suffix}"
    exact = EXACT.multiply(number, Decimal(SUFFIXES[suffix]))
    at_nano = exact.quantize(Decimal("1e-9"), rounding=ROUND_UP, context=EXACT)
    assert parse_quantity(text, "f") == Fraction(at_nano)
    assert whole(text, "f") == int(at_nano.to_integral_value(ROUND_UP))
    assert milli(text, "f") == int((at_nano * 1000).to_integral_value(ROUND_UP))
    assert parse_quantity(f"-{text}", "f") == -Fraction(at_nano)


@given(st.text(max_size=20) | st.from_regex(r"[+-]?[0-9.]{0,5}[eEimkKMn]{0,2}[0-9]{0,3}", fullmatch=True))
def test_any_text_is_a_number_or_a_bad_request(text: str) -> None:
    with contextlib.suppress(BadRequest):
        parse_quantity(text, "f")
