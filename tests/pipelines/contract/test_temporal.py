"""Dates and timestamps of any year:
compared with Python's own if it has them, otherwise with computed examples."""

import datetime as dt
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.contract.temporal import (
    WideDate,
    WideTimestamp,
    count_of,
    date_of,
    time_of,
    timestamp_of,
)

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
LONG = st.integers(-(2**63), 2**63 - 1)
UNITS = st.sampled_from([1, 1_000, 1_000_000, 1_000_000_000])


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (2_932_897, "+10000-01-01"),
        (-719_163, "0000-12-31"),  # 1 BC
        (-719_528, "0000-01-01"),
        (-719_529, "-0001-12-31"),
        (-735_160, "-0043-03-15"),  # 44 BC
        (2**31 - 1, "+5881580-07-11"),
        (-(2**31), "-5877641-06-23"),
    ],
)
def test_a_date_beyond_python_is_written_in_iso_8601(days: int, text: str) -> None:
    assert isinstance(date_of(days), WideDate)
    assert str(date_of(days)) == text


@pytest.mark.parametrize(
    ("count", "per_second", "text"),
    [
        (253_402_300_800, 1, "+10000-01-01T00:00:00+00:00"),
        (-62_135_596_800_000_001, 1_000_000, "0000-12-31T23:59:59.999999+00:00"),
        (2**63 - 1, 1_000_000, "+294247-01-10T04:00:54.775807+00:00"),
        (1, 1_000_000_000, "1970-01-01T00:00:00.000000001+00:00"),
        (-1, 1_000_000_000, "1969-12-31T23:59:59.999999999+00:00"),
    ],
)
def test_a_timestamp_beyond_python_is_written_in_iso_8601(count: int, per_second: int, text: str) -> None:
    assert isinstance(timestamp_of(count, per_second, zoned=True), WideTimestamp)
    assert str(timestamp_of(count, per_second, zoned=True)) == text


@given(st.integers(-(2**31), 2**31 - 1))
def test_a_date_of_any_year_is_numpy_s(days: int) -> None:
    sign, year, rest = re.fullmatch(r"(-?)(\d+)(-.*)", str(np.datetime64(days, "D"))).groups()
    expected = f"{sign or '+' * (len(year) > 4)}{year.zfill(4)}{rest}"
    assert WideDate(days).isoformat() == expected


@given(st.dates())
def test_python_s_dates_are_python_s(day: dt.date) -> None:
    days = (day - EPOCH.date()).days
    assert date_of(days) == day
    assert WideDate(days).isoformat() == day.isoformat()


@given(LONG, UNITS, st.booleans())
def test_a_timestamp_keeps_its_count_in_every_unit(count: int, per_second: int, zoned: bool) -> None:
    found = timestamp_of(count, per_second, zoned=zoned)
    assert count_of(found, per_second) == count
    if isinstance(found, dt.datetime):
        assert WideTimestamp(count, per_second, zoned).isoformat() == found.isoformat()
        assert (found.tzinfo is not None) == zoned


@given(LONG, st.booleans())
def test_the_same_instant_in_another_unit_is_equal(count: int, zoned: bool) -> None:
    one, same = (timestamp_of(n, per, zoned=zoned) for n, per in ((count, 1_000), (count * 1000, 1_000_000)))
    assert one == same
    assert hash(one) == hash(same)
    assert timestamp_of(count, 1_000, zoned=not zoned) != one


@given(st.integers(-(10**14), 10**14), st.sampled_from([1_000, 1_000_000]))
def test_a_time_outside_of_the_day_is_its_count(count: int, per_second: int) -> None:
    found: Any = time_of(count, per_second)
    if 0 <= count < 86_400 * per_second:
        assert (dt.datetime.combine(EPOCH.date(), found, dt.UTC) - EPOCH) / dt.timedelta(
            microseconds=1
        ) == count * 1_000_000 / per_second
    else:
        assert found == count
