"""A window from PostgreSQL:
the same events as from any warehouse, each exactly once, even if its connection is lost."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from pipelines.stages.source import source_window
from resources.errors import SluiceError, TransientError
from resources.platform import Platform
from tests.fixtures_postgres import PostgresServer, execute, query
from tests.pipelines.publishing.conftest import WINDOW, World

# 30 MB: more than the network and the driver buffer between the server and the first batch.
ROWS, PADDING = 20_000, "x" * 1500


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    """`happenings` of two days."""
    url = postgres.new_database()
    execute(
        url,
        "CREATE TABLE happenings (id text, happened_at timestamptz, amount bigint);"
        f"INSERT INTO happenings SELECT 'k' || i % 50 || '{PADDING}', "
        f"TIMESTAMPTZ '2013-01-01 00:00+00' + (i % 1440) * INTERVAL '1 minute', i FROM generate_series(1, {ROWS}) i;"
        "INSERT INTO happenings VALUES ('next day', '2013-01-02 00:00+00', 1)",
    )
    return url


class Breaking(Platform):
    """A platform whose stream from the warehouse is broken by the server after the first batch."""

    def __init__(self, inner: Platform, url: str) -> None:
        super().__init__(inner.settings)
        self._url = url
        self.rows = 0

    def warehouse(self, name: str) -> Any:
        warehouse = super().warehouse(name)
        stream = warehouse._batches  # type: ignore[attr-defined]

        def broken(*given: Any) -> Iterator[pa.RecordBatch]:
            for batch in stream(*given):
                if not self.rows:
                    ended = query(
                        self._url,
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND application_name = 'sluice'"
                        " AND backend_type = 'client backend'",
                    )
                    assert len(ended) == 1
                self.rows += batch.num_rows
                yield batch

        warehouse._batches = broken  # type: ignore[attr-defined]
        return warehouse


def test_a_connection_lost_in_the_middle_leaves_nothing_and_the_next_try_publishes_once(
    world: World, url: str
) -> None:
    how = {"warehouses": {"default": url}, "batch_rows": 500}
    window = world.event.windows.window(WINDOW)
    with Breaking(world.platform(**how), url) as breaking:
        with pytest.raises(TransientError, match="connection"):
            source_window(world.event, window, breaking, run_id="cut")
        assert 0 < breaking.rows < ROWS  # type: ignore[attr-defined]
        assert breaking.snapshots.current(world.event.full_name, WINDOW, "sourced") is None

    platform = world.platform(**how)
    world.prepare(platform)
    assert world.publish(platform).published == ROWS
    again = world.platform(**how)
    world.prepare(again)
    assert world.publish(again).published == 0
    expected = Counter((f"k{i % 50}{PADDING}", i % 1440, i) for i in range(1, ROWS + 1))
    assert world.counted() == expected


def test_a_refused_query_names_the_event_and_what_to_mend(embedded_world: World, url: str) -> None:
    execute(url, "ALTER TABLE happenings DROP COLUMN amount")
    platform = embedded_world.platform(warehouses={"default": url})
    window = embedded_world.event.windows.window(WINDOW)
    with pytest.raises(
        SluiceError, match=r'tests/happened 2013-01-01: .*column "amount" does not exist'
    ) as caught:
        source_window(embedded_world.event, window, platform, run_id="r")
    assert "mend `source` in happened.py" in str(caught.value)
