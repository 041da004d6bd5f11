"""Windows and Dagster's partitions are two views of one calendar."""

from datetime import UTC, datetime

import pytest

from pipelines import Windows, daily, hourly, monthly, weekly
from pipelines.orchestration.definitions.partitions import partitions_of

NOW = datetime(2013, 6, 15, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "windows",
    [
        # Across both changes of daylight-saving time, which must have no effect on UTC windows.
        hourly("2013-03-09", "2013-03-12"),
        hourly("2013-01-01-05:00", "2013-01-02"),
        daily("2013-01-01", "2013-12-31"),
        daily("2013-01-01"),
        weekly("2012-12-31", "2013-12-30"),
        monthly("2013-01-01", "2014-01-01"),
        monthly("2012-02-01"),
    ],
    ids=str,
)
def test_keys_and_bounds_agree(windows: Windows) -> None:
    partitions = partitions_of(windows)
    keys = list(partitions.get_partition_keys(current_time=NOW))
    assert keys, "a calendar without windows shows nothing"
    ours = windows.between(keys[0], keys[-1])
    assert [window.key for window in ours] == keys
    assert windows.count(NOW) == len(keys)
    for window in ours:
        theirs = partitions.time_window_for_partition_key(window.key)
        assert (window.start, window.end) == (theirs.start, theirs.end)
