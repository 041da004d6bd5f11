"""Dagster's SQLite event log during a run: its files stay open, and events that belong together are written
together.

Dagster stores each event by itself: a connection and a commit for the run's file, one or two more for the
file of all runs, and each waits for the disk. For a window of one row this is most of the time. Here the
events of a window are held back until the window is done, and then written in one transaction for each file.
Dagster's own storage still writes them; only the connections that it gets are replaced. Any other storage
(PostgreSQL) is not changed.

A SQLite storage is not changed either if its methods are not declared as in Dagster 1.13 (`_KNOWN`), because
it is not known what they do. Then each event is stored by itself, and the run warns that small windows take
longer.
"""

import inspect
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from weakref import WeakKeyDictionary

import dagster as dg
import sqlalchemy
from sqlalchemy.engine import Connection
from sqlalchemy.pool import StaticPool

from pipelines.dagster_private import (
    SQLITE_BUSY_TIMEOUT_SECONDS,
    EventLogEntry,
    SqlEventLogStorageTable,
    SqliteEventLogStorage,
)
from pipelines.orchestration.versions import NOWHERE

_ALL_RUNS = "index"
# Somebody who watches a run sees its events at most this much later.
_HELD_AT_MOST_SECONDS = 1.0
# The most events of a batch in one transaction: other runs write to the file of all runs too,
# and must wait meanwhile.
_ONE_TRANSACTION = 250
_HELD = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}

Place = tuple[dg.AssetKey, str]


# The methods that are replaced or called here, as Dagster 1.13 declares them.
_KNOWN = {
    "run_connection": "(self, run_id=None)",
    "index_connection": "(self)",
    "has_table": "(self, table_name)",
    "store_event": "(self, event)",
    "store_event_batch": "(self, events)",
    "conn_string_for_shard": "(self, shard_name)",
    "path_for_shard": "(self, run_id)",
}


class EventLog:
    """What a run needs of the event log.
    This class is for any storage: Dagster writes each event when it happens."""

    def __init__(self, warning: str | None = None) -> None:
        self.warning = warning
        """What the operator should know about the log."""

    @contextmanager
    def one_window(self) -> Iterator[None]:
        """The events of the block belong together.
        They are stored by `write`, or a second after they happened."""
        yield

    def write(self) -> None:
        """Store the events that are held back. Raises the storage's error for an event that it could not
        store, now or since the last call."""

    def point(self, tags: dict[str, str], tag: str, asset: dg.AssetKey, partition: str) -> bool:  # noqa: ARG002
        """Set `tag` to the place in the log of the materialization of `asset` that this window has made, as
        soon as that place is known. False if the window has made none: then the log must be read."""
        return False


@contextmanager
def event_log(instance: dg.DagsterInstance) -> Iterator[EventLog]:
    """The instance's event log for the block."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        yield EventLog()
    elif storage in _open:
        try:
            yield _open[storage]
        finally:
            _open[storage].write()
    elif unknown := _unknown_methods(type(storage)):
        yield EventLog(
            f"Dagster {dg.__version__} declares {', '.join(unknown)} of its SQLite storage, which this version of Sluice "
            "does not know: each event of a run is stored by itself, and small windows take longer; next: install the "
            "Dagster of Sluice's lock files, or a newer Sluice"
        )
    else:
        log = _open[storage] = _SqliteEventLog(storage)
        try:
            with log:
                yield log
        finally:
            del _open[storage]


class _SqliteEventLog(EventLog):
    """Replaces some methods of Dagster's storage object until it is closed."""

    def __init__(self, storage: SqliteEventLogStorage) -> None:
        super().__init__()
        self._storage, self._dagster = storage, type(storage)
        # Dagster's own lock also lets only one connection work at a time.
        self._lock = threading.RLock()
        self._files: dict[str, Connection] = {}
        self._transactions: dict[str, sqlalchemy.engine.Transaction] | None = None
        self._tables: set[str] = set()
        self._holding = False
        self._held: list[EventLogEntry] = []
        self._held_since = 0.0
        self._pointers: list[tuple[dict[str, str], str, Place]] = []
        self._stored: dict[Place, int] = {}
        self._failed: Exception | None = None
        self._over = threading.Event()
        self._clock: threading.Thread | None = None

    def __enter__(self) -> "_SqliteEventLog":
        for name in _TAKEN_OVER:
            setattr(self._storage, name, getattr(self, name))
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._clock is not None:
            self._clock.join()
        try:
            self.write()
        finally:
            for name in _TAKEN_OVER:
                delattr(self._storage, name)
            with self._lock:
                self._close_files()

    # Methods for the run.

    @contextmanager
    def one_window(self) -> Iterator[None]:
        with self._lock:
            self._stored.clear()
            self._holding = True
            if self._clock is None:
                self._clock = threading.Thread(target=self._write_in_time, name="sluice-events", daemon=True)
                self._clock.start()
        try:
            yield
        finally:
            self._holding = False

    def write(self) -> None:
        with self._lock:
            self._write_held()
            failed, self._failed = self._failed, None
        if failed:
            raise failed

    def point(self, tags: dict[str, str], tag: str, asset: dg.AssetKey, partition: str) -> bool:
        with self._lock:
            place = (asset, partition)
            if place in self._stored:
                tags[tag] = str(self._stored[place])
                return True
            if any(_materialized(event) == place for event in self._held):
                self._pointers.append((tags, tag, place))
                return True
            return False

    # Methods that Dagster calls instead of its own.

    @contextmanager
    def run_connection(self, run_id: str | None = None) -> Iterator[Connection]:
        with self._connection(str(run_id)) as connection:
            yield connection

    @contextmanager
    def index_connection(self) -> Iterator[Connection]:
        with self._connection(_ALL_RUNS) as connection:
            yield connection

    def has_table(self, table_name: str) -> bool:
        # Dagster calls this for every event, and its own method opens a connection.
        if table_name not in self._tables and self._dagster.has_table(self._storage, table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event(self, event: EventLogEntry) -> None:
        with self._lock:
            if self._holding and event.dagster_event and event.dagster_event.event_type in _HELD:
                if not self._held:
                    self._held_since = time.monotonic()
                self._held.append(event)
            else:
                # In order: the events that were held back come first. If they fail, this event, which may
                # report the failure, is stored.
                self._write_held()
                with self._transaction():
                    self._store(event)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Dagster's own method stores the events of a batch one by one."""
        with self._lock:
            self._write_held()
            for first in range(0, len(events), _ONE_TRANSACTION):
                with self._transaction():
                    for event in events[first : first + _ONE_TRANSACTION]:
                        self._dagster.store_event(self._storage, event)

    def _store(self, event: EventLogEntry) -> None:
        # Set again at each attempt: a rollback makes the places of its transaction invalid.
        for tags, tag, place in self._pointers:
            tags[tag] = str(self._stored.get(place, NOWHERE))
        self._dagster.store_event(self._storage, event)
        came = _materialized(event)
        if came and (self._holding or self._held):
            newest = sqlalchemy.select(sqlalchemy.func.max(SqlEventLogStorageTable.c.id))
            with self._connection(_ALL_RUNS) as connection:
                self._stored[came] = connection.execute(newest).scalar_one()

    def _write_held(self) -> None:
        if not self._held:
            return
        try:
            with self._transaction():
                for event in self._held:
                    self._store(event)
        except Exception as error:
            # A log message would come back here as an event.
            sys.stderr.write(f"Events are written one by one, together they could not be: {error}\n")
            # If a connection is broken, the next attempt must not use it.
            self._close_files()
            for event in self._held:
                try:
                    self._store(event)
                except Exception as alone:
                    self._failed = self._failed or alone
        self._held.clear()
        self._pointers.clear()

    def _write_in_time(self) -> None:
        while not self._over.wait(_HELD_AT_MOST_SECONDS / 4):
            with self._lock:
                if self._held and time.monotonic() - self._held_since > _HELD_AT_MOST_SECONDS:
                    self._write_held()

    # Connections.

    @contextmanager
    def _connection(self, shard: str) -> Iterator[Connection]:
        with self._lock:
            connection = self._file(shard)
            if self._transactions is None:
                with connection.begin():
                    yield connection
            else:
                if shard not in self._transactions:
                    self._transactions[shard] = connection.begin()
                yield connection

    def _file(self, shard: str) -> Connection:
        if shard not in self._files:
            # Dagster creates the tables of a run's file at its first connection.
            with self._dagster.run_connection(self._storage, shard):
                pass
            engine = sqlalchemy.create_engine(
                self._storage.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            self._files[shard] = engine.connect()
        return self._files[shard]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """The writes of the block are one transaction for each file.
        The run's file is committed first, as Dagster does."""
        self._transactions, before = {}, dict(self._stored)
        try:
            with ExitStack() as unfinished:
                unfinished.callback(self._take_back)
                yield
                for shard in sorted(self._transactions, key=_ALL_RUNS.__eq__):
                    self._transactions[shard].commit()
                    del self._transactions[shard]
                    if shard != _ALL_RUNS:
                        self._tell(shard)
        except BaseException:
            self._stored = before
            raise
        finally:
            self._transactions = None

    def _take_back(self) -> None:
        for transaction in (self._transactions or {}).values():
            with suppress(sqlalchemy.exc.SQLAlchemyError):
                transaction.rollback()

    def _tell(self, shard: str) -> None:
        """Make Dagster's UI read a run's file again. The UI does so if the file changes, but SQLite writes to
        its log beside the file while the file is open."""
        with suppress(OSError):
            os.utime(self._storage.path_for_shard(shard))

    def _close_files(self) -> None:
        for connection in self._files.values():
            with suppress(sqlalchemy.exc.SQLAlchemyError):
                connection.close()
                connection.engine.dispose()
        self._files.clear()


_TAKEN_OVER = ("run_connection", "index_connection", "has_table", "store_event", "store_event_batch")
_open: WeakKeyDictionary[SqliteEventLogStorage, _SqliteEventLog] = WeakKeyDictionary()


def _unknown_methods(kind: type[SqliteEventLogStorage]) -> list[str]:
    """The methods of the storage that are not declared as in `_KNOWN`, with their declarations."""
    found = {name: _declared(getattr(kind, name, None)) for name in _KNOWN}
    return [f"{name}{found[name]}" for name in _KNOWN if found[name] != _KNOWN[name]]


def _declared(method: object) -> str:
    if not callable(method):
        return " no more"
    declared = inspect.signature(method)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in declared.parameters.values()]
    return str(declared.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def _materialized(event: EventLogEntry) -> Place | None:
    told = event.dagster_event
    if told is None or told.event_type != dg.DagsterEventType.ASSET_MATERIALIZATION:
        return None
    return (told.asset_key, told.partition) if told.asset_key and told.partition else None
