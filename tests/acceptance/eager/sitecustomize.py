"""First on the path of a `sluice ui` under test: makes its daemon look for work every few seconds.

Dagster's daemon looks for new and for finished backfills every 30 s, and for schedules at every full minute,
and has no setting for either: a test of it would mostly wait. What the daemon does when it looks is
unchanged.
"""

import sys

# In seconds. A test of schedules chooses an instant between two checks.
BACKFILLS, SCHEDULES = 2, 10

if sys.orig_argv[1:4] == ["-m", "dagster._daemon", "run"]:
    from dagster._daemon import controller
    from dagster._scheduler import scheduler

    # If an update of Dagster removes one of them, the import fails,
    # Python logs it, and the daemon is as slow as without this.
    assert controller.DEFAULT_DAEMON_INTERVAL_SECONDS and scheduler._get_next_scheduler_iteration_time  # type: ignore[truthy-function]
    controller.DEFAULT_DAEMON_INTERVAL_SECONDS = BACKFILLS
    scheduler._get_next_scheduler_iteration_time = lambda start: start + SCHEDULES - start % SCHEDULES  # type: ignore[assignment]
