"""First on the path of a `sluice ui` under test: its daemon looks for work every few seconds.

Dagster's daemon looks for new and for finished backfills every 30 s and for schedules at every full minute, and takes no
setting of either: most of what a test of it takes would be waiting. What it does when it looks is its own.
"""

import sys

# Every so many seconds; a schedule's test chooses an instant between two looks.
BACKFILLS, SCHEDULES = 2, 10

if sys.orig_argv[1:4] == ["-m", "dagster._daemon", "run"]:
    from dagster._daemon import controller
    from dagster._scheduler import scheduler

    # Missing after an update of Dagster: the import fails, Python says so in the log, and the daemon is as slow as ever.
    assert controller.DEFAULT_DAEMON_INTERVAL_SECONDS and scheduler._get_next_scheduler_iteration_time  # type: ignore[truthy-function]
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = BACKFILLS
    scheduler._get_next_scheduler_iteration_time = lambda start: start + SCHEDULES - start % SCHEDULES  # type: ignore[assignment]
