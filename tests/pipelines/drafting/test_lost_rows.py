"""Before it drafts, `new` says which rows belong to no window,
and does not begin at a placeholder for an unknown time."""

import pytest

from pipelines.drafting.first_window import first_window
from pipelines.drafting.lost_rows import first_real_window, lost_rows
from tests.pipelines.drafting.test_first_window import TYPES, Make, make

__all__ = ["make"]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    ("cadence", "stand_in", "first"),
    [
        ("daily", "1900-01-01", "2024-02-03"),
        ("weekly", "1970-01-01", "2024-01-29"),
        ("monthly", "1899-12-30", "2024-02-01"),
        ("hourly", "1753-01-01", "2024-02-03-00:00"),
        ("daily", "2001-05-05", "2001-05-05"),
    ],
)
def test_windows_begin_at_a_time_that_is_one(
    make: Make, kind: str, cadence: str, stand_in: str, first: str
) -> None:
    warehouse, table = make(kind, "infinity", "9999-12-31", stand_in, "2024-02-03", "2024-02-05", "BC")
    (column,) = warehouse.columns(table)
    found = first_window(warehouse, table, column, cadence)  # type: ignore[arg-type]
    key, _ = first_real_window(warehouse, table, column, cadence, found)  # type: ignore[arg-type]
    assert key == first
    lost = lost_rows(warehouse, table, column, cadence, key)  # type: ignore[arg-type]
    assert lost is not None and lost.unknown is None
    assert (lost.before, lost.after, lost.no_time) == (1 if first.startswith("2001") else 2, 2, 0)


def test_a_table_of_stand_ins_alone_begins_today(make: Make) -> None:
    warehouse, table = make("DATE", "1900-01-01", "1970-01-01")
    (column,) = warehouse.columns(table)
    key, _ = first_real_window(warehouse, table, column, "daily", ("1900-01-01", "x"))
    assert key > "1970-01-01"


def test_a_start_that_no_event_can_have_is_told_by_the_declaration(make: Make) -> None:
    warehouse, table = make("DATE", "2024-01-01")
    (column,) = warehouse.columns(table)
    assert lost_rows(warehouse, table, column, "weekly", "2024-01-02") is None
