"""Amounts in the form that people read."""


def size(number: float) -> str:
    """A number of bytes: `812 B`, `1.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def duration(milliseconds: float) -> str:
    """A duration in milliseconds: `45 s`, `20 min`, `168 h`, `4,900 days`."""
    seconds = milliseconds / 1000
    if seconds < 120:
        return f"{seconds:g} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 1000 * 3600:
        return f"{seconds / 3600:,.0f} h"
    return f"{seconds / 86_400:,.0f} days"
