"""Windows as Dagster's partitions; a test compares their keys and bounds."""

from functools import cache

import dagster as dg

from pipelines.authoring.windows import Windows


@cache
def partitions_of(windows: Windows) -> dg.TimeWindowPartitionsDefinition:
    """Dagster's partitions definition of these windows;
    equal windows share one (loading 500 events is faster)."""
    start, end = windows.start, windows.end
    match windows.cadence:
        case "hourly":
            return dg.HourlyPartitionsDefinition(start_date=start, end_date=end, timezone="UTC")
        case "daily":
            return dg.DailyPartitionsDefinition(start_date=start, end_date=end, timezone="UTC")
        case "weekly":
            return dg.WeeklyPartitionsDefinition(start_date=start, end_date=end, timezone="UTC", day_offset=1)
        case "monthly":
            return dg.MonthlyPartitionsDefinition(start_date=start, end_date=end, timezone="UTC")
