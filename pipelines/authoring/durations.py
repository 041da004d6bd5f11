"""Lengths of time as an author writes them: `90m`, `6h`, `1d 12h`."""

import re
from datetime import timedelta

DURATIONS = "a number and a unit (w, d, h, m, s), such as '90m', '6h' or '1d 12h'; or a timedelta"
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SHORT = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"\s*(?:[0-9]+\s*[wdhms]\s*)+")


def read_duration(value: object) -> timedelta | None:
    """The length of time that `value` says, which may be negative or zero;
    None if it is not a length of time.

    The result is `timedelta.max` for a text that says more than Python can hold.
    """
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        return None
    if negative := re.fullmatch(r"\s*-(.*)", value):
        length = read_duration(negative[1].strip()) if not negative[1].strip().startswith("-") else None
        return None if length is None else timedelta.min if length == timedelta.max else -length
    if not _DURATION.fullmatch(value):
        return None
    parts = re.findall(r"([0-9]+)\s*([wdhms])", value)
    units = [_UNITS[unit] for _, unit in parts]
    if len(set(units)) < len(units):
        return None
    try:
        return timedelta(**{unit: int(number) for unit, (number, _) in zip(units, parts, strict=True)})
    except (OverflowError, ValueError):  # more digits than Python can read
        return timedelta.max


def short_duration(length: timedelta) -> str:
    """The shortest text that `read_duration` reads as this length, in whole seconds: `8h`, `1d 12h`."""
    seconds, parts = int(length.total_seconds()), []
    for unit, in_seconds in _SHORT.items():
        if unit == "w" and seconds % in_seconds:
            continue  # 90d, not 12w 6d
        number, seconds = divmod(seconds, in_seconds)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"
