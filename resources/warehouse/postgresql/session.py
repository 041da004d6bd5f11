"""Sessions on one PostgreSQL server: opened when needed, kept while idle, each
with one transaction at a time."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import pyarrow as pa

from resources.process.waiting import waiting_for
from resources.warehouse.cancellation import Cancellation
from resources.warehouse.deadline import Deadline
from resources.warehouse.errors import QueryCancelled, WarehouseError
from resources.warehouse.postgresql.errors import CANCELLED, Explainer

# Defaults for what the URL does not set. The application name is only a fallback, because PGAPPNAME belongs
# to the user. With these keepalives, a read from a server that disappeared ends after about a minute.
_CONNECTION = {
    "fallback_application_name": "sluice",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
# SET LOCAL ends with the transaction, so a connection pooler may give the session to somebody else
# after it. The description and all rows use one snapshot. No time-out may cut a long stream, whatever
# the role's default is; only a wait for a lock (somebody alters the table) is limited. Time zone,
# encoding and text forms are fixed, so that the same rows give the same bytes. JIT is useful for long
# aggregates; here it only costs time.
_BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL TimeZone = 'UTC';
SET LOCAL client_encoding = 'UTF8';
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL extra_float_digits = 1;
SET LOCAL bytea_output = 'hex';
SET LOCAL xmlbinary = 'base64';
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL lock_timeout = '30s';
SET LOCAL jit = off;
"""
_BATCH_BYTES = "adbc.postgresql.batch_size_hint_bytes"
_BY_COPY = "adbc.postgresql.use_copy"


T = TypeVar("T")


class Transaction:
    """One read-only transaction over one snapshot of the database."""

    def __init__(
        self, cursor: Any, explain: Explainer, deadline: Deadline, cancellation: Cancellation
    ) -> None:
        self._cursor = cursor
        self._explain = explain
        self._deadline = deadline
        self._cancellation = cancellation
        self.reading = False
        """Set it to True before the first row of `copied` is read; after the last row
        `copied` sets it to False. While it is True, the query runs on the server; a caller
        who does not read on must cancel it."""

    def schema(self, sql: str) -> pa.Schema:
        """The driver's schema of the query's rows. The server parses the query and does not run it."""
        # This is quick, unless the server waits for a lock.
        what = f"{self._explain.where} to describe a query, whose tables another session may have locked"
        return self._answer(what, lambda: self._cursor.adbc_execute_schema(sql), sql)

    def rows(self, sql: str, *values: str) -> list[dict[str, Any]]:
        """All rows of a small query; `values` are its parameters `$1`, `$2` and
        so on, bound by the driver."""

        def asked() -> list[dict[str, Any]]:
            self._cursor.execute(sql, parameters=values or None)
            return list(self._cursor.fetch_arrow_table().to_pylist())

        return self._answer(f"{self._explain.where} to answer a query", asked, sql)

    def plan(self, sql: str) -> str:
        """The server's plan of a query, as JSON; the query is not run."""
        explain = f"EXPLAIN (FORMAT JSON)\n{sql}"

        def asked() -> str:
            # The driver reads queries by COPY, and EXPLAIN does not work inside COPY.
            self._cursor.adbc_statement.set_options(**{_BY_COPY: "false"})
            try:
                self._cursor.execute(explain)
                (row,) = self._cursor.fetch_arrow_table().to_pylist()
            finally:
                self._cursor.adbc_statement.set_options(**{_BY_COPY: "true"})
            return str(next(iter(row.values())))

        return self._answer(f"{self._explain.where} to plan a query", asked, explain)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Queries inside the block have the time limit that the warehouse has now. After the block, the
        transaction is as it was before, also if a query failed."""
        seconds = self._deadline.seconds_left
        bound = "" if seconds is None else f"SET LOCAL statement_timeout = {math.ceil(seconds * 1000)};"
        with self._explained():
            self._cursor.executescript(f"SAVEPOINT sluice_aside; {bound}")
        try:
            yield
        finally:
            with suppress(Exception):  # the next statement finds a lost connection
                self._cursor.executescript("ROLLBACK TO SAVEPOINT sluice_aside")

    def copied(self, sql: str, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
        """The query's rows by binary COPY, in batches of about `batch_bytes` bytes. For one thread."""
        # Not `fetch_record_batch`: it wraps this reader and loses the SQLSTATE of an
        # error in the middle of the rows.
        from adbc_driver_manager._reader import AdbcRecordBatchReader

        with self._explained(sql):
            self._cursor.adbc_statement.set_options(**{_BATCH_BYTES: str(batch_bytes)})
            self._cursor.execute(sql)
            handle = self._cursor.fetch_arrow()
            yield from AdbcRecordBatchReader._import_from_c(handle.address)
            self.reading = False

    def _answer(self, what: str, call: Callable[[], T], sql: str) -> T:
        """The result of `call`, which runs in another thread. In the main thread the driver would handle a
        Ctrl-C itself, with an error as if somebody had cancelled the query on the server."""
        with (
            self._explained(sql),
            self._cancellation.running(),
            waiting_for(what),
            ThreadPoolExecutor(1, "sluice-postgresql") as thread,
        ):
            asked = thread.submit(call)
            try:
                return asked.result()
            finally:
                if not asked.done():
                    self.cancel()  # otherwise this waits for the thread until the query ends

    def cancel(self) -> None:
        """Tell the server to stop what it is doing; from any thread."""
        with suppress(Exception):
            self._cursor.adbc_cancel()

    @contextmanager
    def _explained(self, sql: str = "") -> Iterator[None]:
        try:
            yield
        except Exception as error:
            driver_s = type(error).__module__.startswith("adbc_driver_manager")
            if not driver_s and not isinstance(error, (OSError, pa.ArrowException)):
                raise
            # If the deadline has not passed, somebody else cancelled the query.
            if self._deadline.passed and getattr(error, "sqlstate", None) == CANCELLED:
                raise self._deadline.error(self._explain.where) from None
            if self._cancellation.was_asked and getattr(error, "sqlstate", None) == CANCELLED:
                raise QueryCancelled(self._explain.where) from None
            raise self._explain.refused(error, sql) from None

    def begin(self) -> None:
        """Begin the transaction. The driver's own BEGIN has neither a snapshot nor READ ONLY."""
        seconds = self._deadline.seconds_left
        bound = "" if seconds is None else f"SET LOCAL statement_timeout = {math.ceil(seconds * 1000)};"
        with self._explained(), waiting_for(f"{self._explain.where} to begin a transaction"):
            self._cursor.executescript(_BEGIN + bound)

    def commit(self) -> None:
        """End the transaction with COMMIT."""
        with self._explained(), waiting_for(f"{self._explain.where} to end a transaction"):
            self._cursor.executescript("COMMIT")

    def close(self) -> None:
        """Free its statement."""
        with suppress(Exception):
            self._cursor.close()


class Sessions:
    """Idle sessions are used again. A session whose transaction did not end with COMMIT is closed."""

    def __init__(self, url: str, explain: Explainer, deadline: Deadline, cancellation: Cancellation) -> None:
        self._url = _with_defaults(url)
        self._explain = explain
        self._deadline = deadline
        self._cancellation = cancellation
        self._idle: list[Any] = []
        self._open: list[Transaction] = []

    def cancel(self) -> None:
        """Tell the server to stop what each transaction is doing; from any thread."""
        for transaction in list(self._open):
            transaction.cancel()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that has begun. After an exception, or if its rows were not all
        read, its session is closed."""
        connection, transaction = self._begun()
        orderly = False
        self._open.append(transaction)
        try:
            yield transaction
            if not transaction.reading:
                transaction.commit()
                orderly = True
        finally:
            self._open.remove(transaction)
            transaction.close()
            if orderly:
                self._idle.append(connection)
            else:
                _close(connection)

    def _begun(self) -> tuple[Any, Transaction]:
        while self._idle:
            connection = self._idle.pop()
            with suppress(Exception):
                return connection, self._begin(connection)
            # The server has ended this session in the meantime: try the next idle one, then a new one.
        connection = self._connected()
        return connection, self._begin(connection)

    def _begin(self, connection: Any) -> Transaction:
        transaction = Transaction(connection.cursor(), self._explain, self._deadline, self._cancellation)
        try:
            transaction.begin()
        except BaseException:
            transaction.close()
            _close(connection)
            raise
        return transaction

    def _connected(self) -> Any:
        try:
            import adbc_driver_postgresql.dbapi as driver
        except ImportError:
            raise WarehouseError(
                self._explain.where,
                "the driver for PostgreSQL is not installed",
                next_step="pip install 'sluice[postgresql]'",
            ) from None
        try:
            with waiting_for(f"a connection to {self._explain.where}"):
                return driver.connect(self._url, autocommit=True)
        except driver.Error as error:
            raise self._explain.refused_login(error) from None

    def close(self) -> None:
        """Close the idle sessions."""
        while self._idle:
            _close(self._idle.pop())


def _close(connection: Any) -> None:
    with suppress(Exception):
        connection.close()


def _with_defaults(url: str) -> str:
    given = {name for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    added = "&".join(f"{name}={value}" for name, value in _CONNECTION.items() if name not in given)
    return f"{url}{'&' if '?' in url else '?'}{added}"
