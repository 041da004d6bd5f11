"""The sample warehouse: its rows, its types, and how it is built."""

import datetime as dt
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from resources.dev.sample import SampleError, build_sample_warehouse, nycflights


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sample_warehouse(tmp_path_factory.mktemp("sample") / "warehouse.duckdb")


@pytest.fixture
def warehouse(sample: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(sample, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@pytest.mark.parametrize(
    ("table", "rows"),
    [("flights", 336_776), ("weather", 26_115), ("planes", 3_322), ("airlines", 16), ("airports", 1_458)],
)
def test_every_row_of_the_package_is_there(
    warehouse: duckdb.DuckDBPyConnection, table: str, rows: int
) -> None:
    assert warehouse.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,)


def test_columns_have_the_types_of_what_they_hold(warehouse: duckdb.DuckDBPyConnection) -> None:
    found = warehouse.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM duckdb_columns() "
        "WHERE table_name <> 'sample_source' AND NOT internal"
    ).fetchall()
    types = {(table, column): (kind, nullable) for table, column, kind, nullable in found}
    assert types[("flights", "time_hour")] == ("TIMESTAMP WITH TIME ZONE", False)
    assert types[("flights", "dep_time")] == ("INTEGER", True)
    assert types[("flights", "tailnum")] == ("VARCHAR", True)
    assert types[("weather", "wind_gust")] == ("DOUBLE", True)
    assert types[("planes", "seats")] == ("INTEGER", False)
    assert {kind for kind, _ in types.values()} == {
        "INTEGER",
        "DOUBLE",
        "VARCHAR",
        "TIMESTAMP WITH TIME ZONE",
    }


def test_what_is_missing_is_null_and_never_nan_or_text(warehouse: duckdb.DuckDBPyConnection) -> None:
    missing = warehouse.execute(
        """
        SELECT count(*) FILTER (dep_time IS NULL), count(*) FILTER (tailnum IS NULL),
               count(*) FILTER (dep_time IS NOT NULL AND arr_time IS NULL),
               count(*) FILTER (tailnum IN ('', 'NA'))
        FROM flights
        """
    ).fetchone()
    assert missing == (8_255, 2_512, 458, 0)
    weather = warehouse.execute(
        "SELECT count(*) FILTER (pressure IS NULL), count(*) FILTER (isnan(wind_gust)) FROM weather"
    ).fetchone()
    assert weather == (2_729, 0)
    assert warehouse.execute("SELECT count(*) FROM airports WHERE tzone IS NULL").fetchone() == (3,)


def test_the_hour_is_an_instant_in_utc(warehouse: duckdb.DuckDBPyConnection) -> None:
    hour = warehouse.execute(
        "SELECT time_hour FROM flights WHERE month = 1 AND day = 1 AND carrier = 'UA' AND flight = 1545"
    ).fetchone()
    assert hour == (dt.datetime(2013, 1, 1, 10, tzinfo=dt.UTC),)  # 05:15 in New York


def test_the_clock_times_stay_as_the_source_has_them(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert warehouse.execute(
        "SELECT count(*) FILTER (dep_time = 2400), count(*) FILTER (arr_time = 2400) FROM flights"
    ).fetchone() == (29, 150)


def test_a_second_call_leaves_the_file_alone(sample: Path) -> None:
    before = sample.stat()
    assert build_sample_warehouse(sample) == sample
    assert (sample.stat().st_ino, sample.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_sample_of_an_older_layout_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build_sample_warehouse(tmp_path / "deep" / "folder" / "warehouse.duckdb")
    monkeypatch.setattr(nycflights, "LAYOUT", nycflights.LAYOUT + 1)
    before = path.stat().st_ino
    build_sample_warehouse(path)
    assert path.stat().st_ino != before
    assert [entry.name for entry in path.parent.iterdir()] == ["warehouse.duckdb"]  # nothing else is left


def test_a_build_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nycflights.TABLES, "planes", {"tailnum": "INTEGER NOT NULL"})
    with pytest.raises(duckdb.Error):
        build_sample_warehouse(tmp_path / "warehouse.duckdb")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"my thesis", None], ids=["a text", "another database"])
def test_a_file_that_is_no_sample_is_never_overwritten(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mine.duckdb"
    if content is None:
        duckdb.connect(path).close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(SampleError, match=r"mine\.duckdb: not a sample warehouse.*; next: name another path"):
        build_sample_warehouse(path)
    assert path.read_bytes() == before


def test_two_processes_may_build_at_once(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(build_sample_warehouse, [path, path]) == [path, path]
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM flights").fetchone() == (336_776,)
    assert [entry.name for entry in tmp_path.iterdir()] == ["warehouse.duckdb"]


def test_without_the_package_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nycflights, "PACKAGE", "nycflights1913")
    with pytest.raises(SampleError, match=r"nycflights1913, which is not installed; next: pip install"):
        build_sample_warehouse(tmp_path / "warehouse.duckdb")
