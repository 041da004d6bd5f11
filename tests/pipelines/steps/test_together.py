"""Sourced and transformed in one pass come out as the two steps one after the other do."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest

from pipelines.steps.sourced import source_window
from pipelines.steps.together import source_and_transform
from pipelines.steps.transformed import Transformed, transform_window
from pipelines.transform import ConformError
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot, SnapshotError, SnapshotStore
from resources.snapshots.writer import HashingFile
from resources.warehouse import OutOfOrder

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import World

WINDOW, NAME = "2013-01-01", "tests/happened"
STAGES = ("sourced", "transformed", "dead")


@pytest.fixture
def world(tmp_path: Path) -> "Iterator[World]":
    from tests.pipelines.publishing.conftest import World

    made = World(tmp_path, "127.0.0.1:1", "http://127.0.0.1:1")
    yield made
    made.close()


def fill(world: "World", count: int, *, order: str = "happened_at", select: str = "amount") -> None:
    world._forget_platforms()
    with duckdb.connect(str(world.folder / "dwh.duckdb")) as connection:
        connection.execute(
            f"CREATE OR REPLACE TABLE happenings AS SELECT id, happened_at, {select} AS amount FROM ("
            f"SELECT 'k' || (i % 977) AS id, i AS amount, TIMESTAMPTZ '{WINDOW} 00:00:00+00'"
            f" + to_microseconds(i * 1000) AS happened_at FROM range({count}) AS t(i)) ORDER BY {order}"
        )


def apart(world: "World", platform: Platform) -> tuple[Snapshot, Transformed]:
    window = world.event.windows.window(WINDOW)
    source = source_window(world.event, window, platform, run_id="r")
    return source, transform_window(world.event, window, platform, run_id="r")


def together(world: "World", platform: Platform) -> tuple[Snapshot, Transformed]:
    window = world.event.windows.window(WINDOW)
    source, transformed = source_and_transform(world.event, window, platform, run_id="r")
    return source, transformed()


def nothing_left(platform: Platform) -> bool:
    staging = platform.snapshots.staging_folder()
    assert staging is not None
    names = [thread.name for thread in threading.enumerate()]
    return not list(Path(staging).iterdir()) and not [n for n in names if n.startswith("sluice-")]


def current(platform: Platform) -> list[str | None]:
    found = [platform.snapshots.current(NAME, WINDOW, stage) for stage in STAGES]
    return [snapshot and snapshot.sha256 for snapshot in found]


@pytest.mark.parametrize(
    ("count", "batch_rows", "body", "more"),
    [
        (0, 7, "return rows", ""),
        (500, 7, "return rows.assign(amount=len(rows))", ""),
        (150_000, 50_000, "return rows.assign(amount=len(rows))", ""),
        (150_000, 32_768, "return rows[rows['id'] != 'k5']", ""),
        (70_000, 100_000, "return rows.assign(amount=len(rows))", "whole_window=True,"),
        (0, 100, "return rows", "whole_window=True,"),
        (
            70_000,
            32_768,
            "return rows.assign(amount=rows['amount'].where(rows['id'] != 'k5', None))",
            "dead_letters=0.5,",
        ),
        (500, 7, "return rows.assign(amount=rows['amount'].where(rows['amount'] != 3, None))", ""),
    ],
)
def test_the_bytes_the_verdict_and_what_is_current_are_the_same(
    world: "World", count: int, batch_rows: int, body: str, more: str
) -> None:
    world.define(body, more=more)
    fill(world, count)
    platform = world.platform(batch_rows=batch_rows)
    source, done = apart(world, platform)
    expected, verdict = current(platform), platform.snapshots.validation(NAME, WINDOW, done.snapshot.sha256)
    for stage in STAGES:
        (Path(platform.settings.snapshots) / NAME / WINDOW / f"{stage}.json").unlink()
    source_again, done_again = together(world, platform)
    assert current(platform) == expected and None not in expected
    assert source_again.sha256 == source.sha256
    timeless = {"written_at": None, "run_id": None}
    assert {**done_again.facts, **timeless, "letters": ""} == {**done.facts, **timeless, "letters": ""}
    found = platform.snapshots.validation(NAME, WINDOW, done.snapshot.sha256)
    assert found and verdict and found["passed"] == verdict["passed"] == done_again.passed
    assert nothing_left(platform)


def test_types_that_are_read_as_others_than_written_are_read_back(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world.define("return rows.assign(amount=rows['amount'].astype('int64[pyarrow]'))")
    fill(world, 50, select="('' || amount % 3)::ENUM('0', '1', '2')")
    read: list[Snapshot] = []
    real = SnapshotStore.read

    def reading(self: SnapshotStore, snapshot: Snapshot, **how: int) -> Iterator[pa.RecordBatch]:
        read.append(snapshot)
        return real(self, snapshot, **how)

    monkeypatch.setattr(SnapshotStore, "read", reading)
    source, done = together(world, world.platform())
    assert done.snapshot.rows == 50
    assert read == [source]
    fill(world, 50)
    together(world, world.platform())
    assert read == [source]  # whole numbers are not


def test_a_transform_that_fails_leaves_the_source_made(world: "World") -> None:
    world.define("return rows.drop(columns=['amount'])")
    fill(world, 70_000)
    platform = world.platform(batch_rows=10_000)
    window = world.event.windows.window(WINDOW)
    source, transformed = source_and_transform(world.event, window, platform, run_id="r")
    assert source.rows == 70_000
    assert current(platform) == [source.sha256, None, None]
    with pytest.raises(ConformError, match="no column for the field 'amount'"):
        transformed()
    assert current(platform) == [source.sha256, None, None] and nothing_left(platform)


def test_a_source_that_fails_in_its_rows_leaves_nothing(world: "World") -> None:
    fill(world, 200_000)
    text = (world.folder / "assets/tests/happened.py").read_text()
    failing = "CASE WHEN amount = 199999 THEN error('no more') ELSE amount END AS amount FROM"
    (world.folder / "assets/tests/happened.py").write_text(text.replace("amount FROM", failing))
    from pipelines import load_catalogue

    world.event = load_catalogue(world.folder / "assets").find("happened")
    platform = world.platform()
    window = world.event.windows.window(WINDOW)
    with pytest.raises(SluiceError, match=r"no more.*mend `source`"):
        source_and_transform(world.event, window, platform, run_id="r")
    assert current(platform) == [None, None, None] and nothing_left(platform)


def test_an_interruption_ends_both_at_once(world: "World") -> None:
    world.define("raise KeyboardInterrupt")
    fill(world, 200_000)
    platform = world.platform()
    window = world.event.windows.window(WINDOW)
    with pytest.raises(KeyboardInterrupt):
        source_and_transform(world.event, window, platform, run_id="r")
    assert current(platform) == [None, None, None] and nothing_left(platform)


def test_a_disk_that_fills_is_named_and_nothing_of_the_window_stays(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(world, 300_000)
    platform, written = world.platform(), 0
    real = HashingFile.write

    def full(self: HashingFile, data: bytes | memoryview) -> int:
        nonlocal written
        written += len(data)
        if written > 200_000:
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(HashingFile, "write", full)
    window = world.event.windows.window(WINDOW)
    with pytest.raises(SnapshotError, match="No space left on device"):
        source_and_transform(world.event, window, platform, run_id="r")
    assert current(platform) == [None, None, None] and nothing_left(platform)


@pytest.mark.parametrize("run", [apart, together])
def test_rows_that_lose_their_order_while_they_are_read_are_sorted(
    world: "World", monkeypatch: pytest.MonkeyPatch, run: object
) -> None:
    fill(world, 150_000, order="hash(amount)")
    expected = apart(world, world.platform())
    fill(world, 150_000)
    from resources.warehouse.duckdb import DuckDBWarehouse

    real, lost = DuckDBWarehouse._batches, []

    def turned(self: DuckDBWarehouse, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(real(self, reader)):
            if number == 2 and not lost and len(batch.schema) > 2:
                lost.append(batch)
                yield batch.take(pa.array(range(batch.num_rows))[::-1])
            else:
                yield batch

    monkeypatch.setattr(DuckDBWarehouse, "_batches", turned)
    platform = world.platform()
    found = run(world, platform)  # type: ignore[operator]
    assert lost
    assert [found[0].sha256, found[1].snapshot.sha256] == [
        expected[0].sha256,
        expected[1].snapshot.sha256,
    ]
    assert nothing_left(platform)


def test_out_of_order_says_what_to_do_where_nobody_streams_again() -> None:
    assert "materialize the window again" in str(OutOfOrder("warehouse x"))
