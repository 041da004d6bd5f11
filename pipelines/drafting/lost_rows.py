"""What `sluice new` finds out, before it drafts, about rows of a table that would belong to no window."""

from datetime import UTC, datetime, timedelta

from pipelines.authoring.cadence import Cadence, floor, following, key_of
from pipelines.authoring.problems import DeclarationError
from pipelines.authoring.sql.analysis import analyse
from pipelines.authoring.window_declaration import daily, hourly, monthly, weekly
from pipelines.authoring.windows import Windows
from pipelines.drafting.draft import window_query
from pipelines.stages.unwindowed_rows import Unwindowed, count_rows, stands_in
from resources.warehouse import Column, Warehouse

_DECLARED = {"hourly": hourly, "daily": daily, "weekly": weekly, "monthly": monthly}


def lost_rows(
    opened: Warehouse, table: str, column: Column, cadence: Cadence, start: str
) -> Unwindowed | None:
    """Rows of the table that belong to no window from `start` on; None if no event can have this start."""
    try:
        windows = _DECLARED[cadence](start)
    except DeclarationError:
        return None
    return _counted(opened, table, column, windows)


def first_real_window(
    opened: Warehouse, table: str, column: Column, cadence: Cadence, first: tuple[str, str]
) -> tuple[str, str]:
    """`first` (the key of a window and why), or the window in which the table's real times begin: a day that
    is a placeholder for an unknown time is not a beginning."""
    start = Windows(cadence, datetime(1, 1, 1, tzinfo=UTC)).window(first[0]).start
    if not any(
        stands_in(start + timedelta(days=day)) for day in range((following(cadence, start) - start).days or 1)
    ):
        return first
    now = datetime.now(UTC)
    # Everything until now is before these windows, and the earliest time is reported without such days.
    earliest = _counted(opened, table, column, Windows(cadence, floor(cadence, now))).earliest
    instant = now if earliest is None else datetime.fromisoformat(earliest)
    instant = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    key = key_of(cadence, floor(cadence, instant))
    return first if key == first[0] else (key, "where the times begin that stand for no unknown time")


def _counted(opened: Warehouse, table: str, column: Column, windows: Windows) -> Unwindowed:
    query, _ = analyse(window_query(table, column))
    return count_rows(query, windows, opened)
