"""Where Dagster's daemon begins to read its event log, set before its first start. Otherwise the daemon warns
that it "ignores older events", which looks like a fault but is none."""

import dagster as dg

from pipelines.dagster_private import daemon_log_keys


def begin_at_newest(instance: dg.DagsterInstance) -> None:
    """If the daemon has never read the log of this instance, let it begin at the log's end,
    as it would by itself."""
    storage = instance.daemon_cursor_storage
    keys = daemon_log_keys()
    missing = keys - set(storage.get_cursor_values(keys))
    if missing:
        newest = instance.event_log_storage.get_maximum_record_id() or 0
        storage.set_cursor_values(dict.fromkeys(missing, str(newest)))
