"""Dagster's SQLite files kept open while a run works.

Dagster opens a connection for each of its reads and writes and closes it. Where that was the last one, SQLite carries
its write-ahead log over into the file, waits for the disk and removes the log: a third of the time that an event
takes. A connection that does nothing but stay open spares that, and holds no lock.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

_ALL_RUNS = "index"


@contextmanager
def storage_kept_open(instance: dg.DagsterInstance, run_id: str | None = None) -> Iterator[None]:
    """While the block works: the file of all runs, and that of `run_id`, stay open where Dagster keeps SQLite files."""
    storage = instance.event_log_storage
    shards = [_ALL_RUNS, *([run_id] if run_id else [])]
    kept: list[sqlite3.Connection] = []
    if isinstance(storage, SqliteEventLogStorage):
        for path in (Path(storage.path_for_shard(shard)) for shard in shards):
            # To spare time is all it is for: whatever is wrong with a file, Dagster says itself.
            with suppress(sqlite3.Error):
                if path.exists():
                    connection = sqlite3.connect(path, check_same_thread=False)
                    kept.append(connection)
                    # It joins the log with its first read.
                    connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
    try:
        yield
    finally:
        for connection in kept:
            connection.close()
