"""A request to stop ends a query at once, and is passed on unchanged."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from resources.process import waiting
from resources.warehouse.duckdb.warehouse import DuckDBWarehouse
from resources.warehouse.interruption import ended_by_signals
from resources.warehouse.postgresql.warehouse import PostgreSQLWarehouse
from tests.fixtures_postgres import PostgresServer, _connect, execute

# Hours of work, for one row.
LONG = "SELECT count(*) AS n FROM range(10000000) a(i), range(10000000) b(j) WHERE (i * j) % 7 = 3"


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDBWarehouse]:
    duckdb.connect(str(tmp_path / "w.duckdb")).close()
    made = DuckDBWarehouse(str(tmp_path / "w.duckdb"))
    yield made
    made.close()


def stream(warehouse: DuckDBWarehouse) -> None:
    with warehouse.stream(LONG, {}, order_by=[], batch_rows=10) as batches:
        list(batches)


def plain(warehouse: DuckDBWarehouse) -> None:
    warehouse.plain_rows(LONG, {}, {}, most_rows=1)


@pytest.mark.parametrize("ask", [stream, plain])
def test_a_signal_ends_a_query_that_runs(
    warehouse: DuckDBWarehouse, ask: Callable[[DuckDBWarehouse], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.describe(LONG, {})
    begun = threading.Event()
    there = waiting.Waits.waiting_for

    class Stopped(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    monkeypatch.setattr(
        "resources.warehouse.duckdb.warehouse.waiting_for",
        lambda what: (begun.set(), there(waiting._process, what))[1],
    )
    before = signal.signal(signal.SIGTERM, stop)
    timer = threading.Thread(
        target=lambda: begun.wait() and (threading.Event().wait(1) or os.kill(os.getpid(), signal.SIGTERM))
    )
    timer.start()
    try:
        # Which one it is depends on whether DuckDB or Python sees the signal first.
        with pytest.raises((Stopped, KeyboardInterrupt)):
            ask(warehouse)
    finally:
        with suppress(Stopped):
            timer.join()
        signal.signal(signal.SIGTERM, before)
    with warehouse.stream("SELECT 1 AS n", {}, order_by=[], batch_rows=10) as batches:
        assert sum(batch.num_rows for batch in batches) == 1


def test_the_wakeup_of_others_is_put_back() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing)
    try:
        with ended_by_signals(lambda: None):
            assert signal.set_wakeup_fd(-1) not in (-1, writing)
        assert signal.set_wakeup_fd(before) == writing
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def test_ctrl_c_while_postgresql_works_is_no_fault_of_the_query(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    execute(url, "CREATE TABLE things (n bigint)")
    blocker = _connect(url)
    cursor = blocker.cursor()
    cursor.executescript("BEGIN; LOCK TABLE things IN ACCESS EXCLUSIVE MODE;")
    warehouse = PostgreSQLWarehouse(url, name="default")
    warehouse.describe("SELECT 1 AS n", {})
    timer = threading.Timer(2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            warehouse.describe("SELECT n FROM things", {})
    finally:
        timer.join()
        cursor.close()
        blocker.close()
        warehouse.close()
