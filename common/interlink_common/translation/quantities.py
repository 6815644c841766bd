"""Kubernetes quantities, exactly: rational arithmetic, no float anywhere.

Source: apimachinery `pkg/api/resource/quantity.go`. What is finer than nano is rounded up to nano; whole and milli values are rounded up
(away from zero), as `Quantity.Value()` and `Quantity.MilliValue()` do. Unlike there, what exceeds 63 bits is refused, not capped.
"""

from __future__ import annotations

import re
from fractions import Fraction

from interlink_common.translation.checks import invalid

_NUMBER = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)([a-zA-Z]{0,2}|[eE][+-]?\d{1,3})", re.ASCII)
_MAX = 2**63 - 1
_MAX_CHARACTERS = 64
_NANO = 10**9
_SUFFIXES = {
    "": Fraction(1),
    **{suffix: Fraction(10) ** exponent for suffix, exponent in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)},
    **{suffix + "i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", start=1)},
}


def parse_quantity(value: str | float, field: str) -> Fraction:
    """The exact number that a quantity (`500m`, `1.5Gi`, `1e3`, 2) stands for. Raises BadRequest naming `field`."""
    text = str(value)
    match = _NUMBER.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if match is None:
        raise invalid(field, "must be a quantity such as 500m, 1.5 or 64Mi")
    sign, digits, suffix = match.groups()
    number = Fraction(digits) * _multiplier(suffix, field)
    nano = _ceil(number * _NANO)
    if nano > _MAX * _NANO:
        raise invalid(field, "is larger than any machine")
    return Fraction(-nano if sign == "-" else nano, _NANO)


def whole(value: str | float, field: str) -> int:
    """A quantity that must not be negative, in whole units (bytes), rounded up. Raises BadRequest."""
    return _ceil(_not_negative(value, field))


def milli(value: str | float, field: str) -> int:
    """A quantity that must not be negative, in thousandths, rounded up. Raises BadRequest."""
    thousandths = _ceil(_not_negative(value, field) * 1000)
    if thousandths > _MAX:
        raise invalid(field, "is larger than any machine")
    return thousandths


def exact_whole(value: str | float, field: str) -> int:
    """A quantity that must be a whole number and not negative, such as a count of devices. Raises BadRequest."""
    number = _not_negative(value, field)
    if number.denominator != 1:
        raise invalid(field, "must be a whole number")
    return int(number)


def _not_negative(value: str | float, field: str) -> Fraction:
    number = parse_quantity(value, field)
    if number < 0:
        raise invalid(field, "must not be negative")
    return number


def _multiplier(suffix: str, field: str) -> Fraction:
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and not suffix[1:].isalpha():
        return Fraction(10) ** int(suffix[1:])
    raise invalid(field, "must be a quantity such as 500m, 1.5 or 64Mi")


def _ceil(number: Fraction) -> int:
    """Rounded up; callers pass magnitudes, so this is away from zero."""
    return -(-number.numerator // number.denominator)
