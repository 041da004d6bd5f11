"""The limits for whole columns and for single values, and how messages describe them."""

import re

INTEGER_RANGE = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}
# Up to this number, a float of this width distinguishes all whole numbers. A larger float may be
# the rounded form of another number. So it is not accepted as a whole number, and a larger whole
# number is not accepted as a float.
EXACT_DOUBLE = 2**53
EXACT_FLOAT = 2**24
EXACT_HALF = 2**11
UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
DAY_SECONDS = 86_400
DAY_MICROS = DAY_SECONDS * 1_000_000
UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
NAN_DETAIL = "NaN is no value: where null is meant, return null (pd.NA or None) for a nullable field"
_UNIT = {"millis": "ms", "micros": "us", "nanos": "ns"}


def unit_of(logical: str) -> str:
    """The Arrow unit of a time or timestamp logical type: `timestamp-millis` is `ms`."""
    return _UNIT[logical.rpartition("-")[2]]


def integer_detail(kind: str) -> str:
    low, high = INTEGER_RANGE[kind]
    return f"a whole number from {low} to {high}"
