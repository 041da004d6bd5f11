"""Dates and timestamps of any year and unit: Python's own types if they can hold the
value, else exact types from here.

Python's dates end at the years 1 and 9999 and at microseconds. Avro, Arrow and the warehouses have more.
"""

import datetime as dt
from dataclasses import dataclass
from fractions import Fraction

_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
_EPOCH = dt.datetime(1970, 1, 1)
_EPOCH_UTC = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_DAY_SECONDS = 86_400


@dataclass(frozen=True)
class WideDate:
    """A date before the year 1 or after the year 9999. `days` are counted from 1970-01-01."""

    days: int

    def isoformat(self) -> str:
        """ISO 8601, with a sign if the year does not have four digits:
        `+10000-01-01`, `-0043-03-15` (44 BC)."""
        return _date_text(self.days)

    __str__ = isoformat


@dataclass(frozen=True, eq=False)
class WideTimestamp:
    """A timestamp that `datetime` cannot hold: `count` units of 1/`per_second` s
    since 1970; in UTC if `zoned`."""

    count: int
    per_second: int
    zoned: bool

    def isoformat(self) -> str:
        """As `datetime.isoformat`, with the year as in `WideDate`; nine decimals if
        microseconds are not enough."""
        seconds, rest = divmod(self.count, self.per_second)
        days, second = divmod(seconds, _DAY_SECONDS)
        nanos = rest * (1_000_000_000 // self.per_second)
        fraction = ""
        if nanos:
            fraction = f".{nanos:09d}" if nanos % 1000 else f".{nanos // 1000:06d}"
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        return f"{_date_text(days)}T{clock}{fraction}{'+00:00' if self.zoned else ''}"

    __str__ = isoformat

    def _key(self) -> tuple[Fraction, bool]:
        return Fraction(self.count, self.per_second), self.zoned

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WideTimestamp) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


def date_of(days: int) -> dt.date | WideDate:
    """The date `days` after 1970-01-01."""
    try:
        return dt.date.fromordinal(_EPOCH_DAY + days)
    except (ValueError, OverflowError):
        return WideDate(days)


def timestamp_of(count: int, per_second: int, *, zoned: bool) -> dt.datetime | WideTimestamp:
    """The timestamp `count` units of 1/`per_second` s after 1970, in UTC if `zoned`. Exact."""
    micros, rest = divmod(count * 1_000_000, per_second)
    if rest:
        return WideTimestamp(count, per_second, zoned)
    try:
        return (_EPOCH_UTC if zoned else _EPOCH) + dt.timedelta(microseconds=micros)
    except OverflowError:
        return WideTimestamp(count, per_second, zoned)


def time_of(count: int, per_second: int) -> dt.time | int:
    """The time of day; the count itself if it is outside a day."""
    if not 0 <= count < _DAY_SECONDS * per_second:
        return count
    micros = count * 1_000_000 // per_second
    seconds, micro = divmod(micros, 1_000_000)
    return dt.time(seconds // 3600, seconds // 60 % 60, seconds % 60, micro)


def count_of(value: dt.datetime | WideTimestamp, per_second: int) -> int:
    """Whole units of 1/`per_second` s from 1970 to a timestamp, rounded down; a timestamp
    without a zone counts as UTC."""
    if isinstance(value, WideTimestamp):
        return value.count * per_second // value.per_second
    since = value - (_EPOCH if value.tzinfo is None else _EPOCH_UTC)
    return int(since // _MICROSECOND) * per_second // 1_000_000


def _date_text(days: int) -> str:
    # Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days:
    # eras of 400 years from March on.
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = year_of_era + era * 400 + (month <= 2)
    shown = f"{year:04d}" if 0 <= year <= 9999 else f"+{year}" if year > 0 else f"-{-year:04d}"
    return f"{shown}-{month:02d}-{day:02d}"
