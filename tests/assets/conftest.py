"""The sample warehouse, and what an event's SQL returns for a window of it."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from pipelines import Catalogue, Event, Window, load_catalogue
from resources.dev.sample import build_sample_warehouse


class Warehouse:
    """Runs events' SQL, one window at a time, as the platform does."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, catalogue: Catalogue) -> None:
        self.connection = connection
        self.catalogue = catalogue
        self._whole: dict[str, pa.Table] = {}

    def event(self, name: str) -> Event:
        return self.catalogue.find(name)

    def rows(self, name: str, start: dt.datetime, end: dt.datetime) -> pa.Table:
        """Source rows of `[start, end)`."""
        bounds = {"window_start": start, "window_end": end}
        query = self.connection.sql(self.event(name).source.to_style("duckdb"), params=bounds)
        return query.to_arrow_table()

    def window(self, name: str, key: str) -> pa.Table:
        """Source rows of one window, by its key."""
        window = self.event(name).windows.window(key)
        return self.rows(name, window.start, window.end)

    def all_windows(self, name: str) -> pa.Table:
        """Source rows of every window of the event, each queried separately; adds `window_start`."""
        if name not in self._whole:
            parts = []
            for window in every_window(self.event(name)):
                rows = self.rows(name, window.start, window.end)
                start = pa.repeat(pa.scalar(window.start, pa.timestamp("us", "UTC")), rows.num_rows)
                parts.append(rows.append_column("window_start", start))
            self._whole[name] = pa.concat_tables(parts)
        return self._whole[name]

    def one(self, query: str, **tables: pa.Table) -> tuple[object, ...]:
        """The only row of a query on the warehouse and the given tables."""
        for name, table in tables.items():
            self.connection.register(name, table)
        try:
            rows = self.connection.execute(query).fetchall()
        finally:
            for name in tables:
                self.connection.unregister(name)
        assert len(rows) == 1
        return rows[0]

    def transformed(self, name: str, rows: pa.Table) -> pd.DataFrame:
        """The rows after the event's transform, in an Arrow-backed frame."""
        event, frame = self.event(name), rows.to_pandas(types_mapper=pd.ArrowDtype)
        return frame if event.transform is None else event.transform(frame)


def every_window(event: Event) -> list[Window]:
    """All windows of an event, first to last."""
    windows = event.windows
    assert windows.end is not None, "the sample is of 2013: each of its events ends"
    last = windows.containing(windows.end - dt.timedelta(seconds=1))
    return windows.between(windows.containing(windows.start).key, last.key)


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sample_warehouse(tmp_path_factory.mktemp("sample") / "warehouse.duckdb")


@pytest.fixture(scope="session")
def warehouse(sample: Path, catalogue: Catalogue) -> Iterator[Warehouse]:
    with duckdb.connect(sample, read_only=True) as connection:
        # 5:45 ahead of UTC: SQL that depends on the session's time zone cannot be right by accident.
        connection.execute("SET TimeZone = 'Asia/Kathmandu'")
        yield Warehouse(connection, catalogue)
