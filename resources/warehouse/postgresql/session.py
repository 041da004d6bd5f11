"""Sessions of one PostgreSQL server: opened when needed, kept while idle, one transaction at a time in each."""

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

# Where the URL says nothing. The application's name is but the fallback: PGAPPNAME is the user's. Keepalives end
# a read from a server that is gone without a word, after about a minute.
_CONNECTION = {
    "fallback_application_name": "sluice",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
# SET LOCAL: it ends with the transaction, so that a pooler between us and the server may hand the session on.
# One snapshot for the description and every row. No timeout may cut a long stream, whatever the role's default
# is; waiting for a lock (a table being altered) is what may not last. Time zone, encoding and forms of text are
# pinned, so that the same rows give the same bytes. JIT pays on long aggregates, and costs here.
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
        """Set it before the first row of `copied`; the last one takes it back. While it stands, the query runs at the
        server, and must be cancelled by whoever wants no more of it."""

    def schema(self, sql: str) -> pa.Schema:
        """The driver's schema of the query's rows; the server parses it and runs nothing."""
        # That takes a moment, unless the server waits for a lock.
        what = f"{self._explain.where} to describe a query, whose tables another session may have locked"
        return self._answer(what, lambda: self._cursor.adbc_execute_schema(sql), sql)

    def rows(self, sql: str, *values: str) -> list[dict[str, Any]]:
        """All rows of a small query, its `$1` bound by the driver."""

        def asked() -> list[dict[str, Any]]:
            self._cursor.execute(sql, parameters=values or None)
            return list(self._cursor.fetch_arrow_table().to_pylist())

        return self._answer(f"{self._explain.where} to answer a query", asked, sql)

    def plan(self, sql: str) -> str:
        """The server's plan of a query, as JSON; the query is not run."""
        explain = f"EXPLAIN (FORMAT JSON)\n{sql}"

        def asked() -> str:
            # By COPY, as the driver reads every other query, there is no EXPLAIN.
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
        """Queries within it have the time that the warehouse has at the moment; one that fails leaves the transaction as
        it was."""
        seconds = self._deadline.seconds_left
        bound = "" if seconds is None else f"SET LOCAL statement_timeout = {math.ceil(seconds * 1000)};"
        with self._explained():
            self._cursor.executescript(f"SAVEPOINT sluice_aside; {bound}")
        try:
            yield
        finally:
            with suppress(Exception):  # a lost connection is found by whoever goes on
                self._cursor.executescript("ROLLBACK TO SAVEPOINT sluice_aside")

    def copied(self, sql: str, *, batch_bytes: int) -> Iterator[pa.RecordBatch]:
        """The query's rows by binary COPY, in batches of about `batch_bytes`. For one thread."""
        # Not `fetch_record_batch`: the reader below it drops the SQLSTATE of a fault in the middle of the rows.
        from adbc_driver_manager._reader import AdbcRecordBatchReader

        with self._explained(sql):
            self._cursor.adbc_statement.set_options(**{_BATCH_BYTES: str(batch_bytes)})
            self._cursor.execute(sql)
            handle = self._cursor.fetch_arrow()
            yield from AdbcRecordBatchReader._import_from_c(handle.address)
            self.reading = False

    def _answer(self, what: str, call: Callable[[], T], sql: str) -> T:
        """What `call` returns, in a thread: in the main one the driver takes a Ctrl-C for itself, and what comes of it looks
        as if somebody had cancelled the query at the server."""
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
                    self.cancel()  # else the thread would be waited for as long as the query takes

    def cancel(self) -> None:
        """Have the server give up what it is doing; from any thread."""
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
            # Before its time is over somebody else cancels it.
            if self._deadline.passed and getattr(error, "sqlstate", None) == CANCELLED:
                raise self._deadline.error(self._explain.where) from None
            if self._cancellation.was_asked and getattr(error, "sqlstate", None) == CANCELLED:
                raise QueryCancelled(self._explain.where) from None
            raise self._explain.refused(error, sql) from None

    def begin(self) -> None:
        """Begin it; the driver's own BEGIN knows no snapshot and no READ ONLY."""
        seconds = self._deadline.seconds_left
        bound = "" if seconds is None else f"SET LOCAL statement_timeout = {math.ceil(seconds * 1000)};"
        with self._explained(), waiting_for(f"{self._explain.where} to begin a transaction"):
            self._cursor.executescript(_BEGIN + bound)

    def commit(self) -> None:
        """End it in order."""
        with self._explained(), waiting_for(f"{self._explain.where} to end a transaction"):
            self._cursor.executescript("COMMIT")

    def close(self) -> None:
        """Give its statement back."""
        with suppress(Exception):
            self._cursor.close()


class Sessions:
    """Idle sessions are used again; one whose transaction did not end in order is closed."""

    def __init__(self, url: str, explain: Explainer, deadline: Deadline, cancellation: Cancellation) -> None:
        self._url = _with_defaults(url)
        self._explain = explain
        self._deadline = deadline
        self._cancellation = cancellation
        self._idle: list[Any] = []
        self._open: list[Transaction] = []

    def cancel(self) -> None:
        """Have the server give up what each transaction is doing; from any thread."""
        for transaction in list(self._open):
            transaction.cancel()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction, begun. Left by an exception, or before its rows were read to the end, its session is closed."""
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
            # The server has ended it meanwhile: the next one, or a new one.
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
