"""Estimates how long records will take: by the present limits, or by the speed of the event's last runs."""

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.authoring.limits import Limits

# Windows of the newest runs; older runs may have used another machine or another contract.
MOST_WINDOWS = 20


def rows_per_second(publications: Iterable[Mapping[str, Any]]) -> float | None:
    """The speed of recently published windows, from the metadata of their materializations;
    None if there are none."""
    rows, seconds = 0, 0.0
    for metadata in publications:
        speed, published = metadata.get("rows_per_second"), metadata.get("rows_published")
        if speed and published:
            rows += published
            seconds += published / speed
    return rows / seconds if seconds else None


def estimate(records: int, sent_bytes: int, limits: Limits, recent: float | None) -> tuple[float | None, str]:
    """How many seconds these records and bytes take, None if nothing is known;
    and what the estimate rests on."""
    if not records:
        return 0.0, "nothing to publish"
    found: list[tuple[float, str]] = []
    if limits.rows_per_second:
        found.append((records / limits.rows_per_second, f"the limit of {limits.rows_per_second:,} rows/s"))
    if limits.bytes_per_second:
        found.append(
            (sent_bytes / limits.bytes_per_second, f"the limit of {limits.bytes_per_second:,} bytes/s")
        )
    if recent:
        found.append((records / recent, f"the speed of its last runs, {recent:,.0f} rows/s"))
    if not found:
        return None, "no limit is set, and no run of this event has published yet"
    seconds, basis = max(found)
    waits = "; and however long its consumers need" if limits.lag else ""
    return seconds, f"by {basis}{waits}"
