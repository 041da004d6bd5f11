"""Where Dagster's daemon begins to read its event log, said before its first start: it warns otherwise that it "ignores
older events", which looks like a fault and is none."""

import dagster as dg

from pipelines.dagster_private import daemon_log_keys


def begin_at_newest(instance: dg.DagsterInstance) -> None:
    """Where the daemon has never read the log of this instance, it begins at its end, as it would by itself."""
    storage = instance.daemon_cursor_storage
    keys = daemon_log_keys()
    missing = keys - set(storage.get_cursor_values(keys))
    if missing:
        newest = instance.event_log_storage.get_maximum_record_id() or 0
        storage.set_cursor_values(dict.fromkeys(missing, str(newest)))
