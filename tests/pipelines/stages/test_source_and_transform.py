"""Source and transform in one pass have the same result as the two steps one after the other."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from pipelines.stages.source import source_window
from pipelines.stages.source_and_transform import source_and_transform
from pipelines.stages.transform import Transformed, transform_window
from pipelines.transform import ConformError, TransformedBatch, Transformer
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot, SnapshotError, SnapshotStore, SnapshotWriter
from resources.snapshots.files import HashingFile
from resources.warehouse import OutOfOrder

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import World

    Run = Callable[["World", Platform], tuple[Snapshot, Transformed]]

WINDOW, NAME = "2013-01-01", "tests/happened"
STAGES = ("sourced", "transformed", "dead")
UNTIL_101 = "if rows['amount'].max() < 101: return rows\n   "
UNTIL_40_000 = "if rows['amount'].max() < 40_000: return rows\n   "


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
    # These threads belong to the process, not to a step: they report waiting, and interrupt a query.
    names = [
        name
        for name in names
        if name.startswith("sluice-") and name not in ("sluice-waiting", "sluice-interrupts")
    ]
    return not list(Path(staging).iterdir()) and not names


def current(platform: Platform) -> list[str | None]:
    found = [platform.snapshots.current(NAME, WINDOW, stage) for stage in STAGES]
    return [snapshot and snapshot.sha256 for snapshot in found]  # type: ignore[misc]


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
        # Untouched until the middle of the window.
        (500, 7, f"{UNTIL_101} return rows.assign(amount=len(rows))", ""),
        (70_000, 10_000, f"{UNTIL_40_000} return rows.assign(amount=len(rows))", ""),
        (70_000, 10_000, f"{UNTIL_40_000} return rows[rows['id'] != 'k5']", ""),
        (70_000, 10_000, f"{UNTIL_40_000} return rows.iloc[::-1].reset_index(drop=True)", ""),
        (70_000, 32_768, f"{UNTIL_40_000} return rows.assign(amount=None)", "dead_letters=0.9,"),
        (70_000, 10_000, "if (rows['amount'] == 40_000).any(): 1 / 0\n    return rows", "dead_letters=0.5,"),
        (70_000, 10_000, "if (rows['amount'] != 40_000).all(): return rows\n    1 / 0", ""),
    ],
)
def test_the_bytes_the_verdict_and_what_is_current_are_the_same(
    world: "World", monkeypatch: pytest.MonkeyPatch, count: int, batch_rows: int, body: str, more: str
) -> None:
    world.define(body, more=more)
    fill(world, count)
    platform = world.platform(batch_rows=batch_rows)
    with monkeypatch.context() as everything_written:
        everything_written.setattr("pipelines.stages.transform.same_buffers", lambda *_: False)
        source, done = apart(world, platform)
    expected, verdict = current(platform), platform.snapshots.validation(NAME, WINDOW, done.snapshot.sha256)
    for run in (apart, together):
        for stage in STAGES:
            (Path(platform.settings.snapshots) / NAME / WINDOW / f"{stage}.json").unlink()
        source_again, done_again = run(world, platform)
        assert current(platform) == expected and None not in expected
        assert source_again.sha256 == source.sha256
        timeless = {"written_at": None, "run_id": None}
        assert {**done_again.facts, **timeless, "letters": ""} == {**done.facts, **timeless, "letters": ""}
        found = platform.snapshots.validation(NAME, WINDOW, done.snapshot.sha256)
        assert found and verdict and found["passed"] == verdict["passed"] == done_again.passed
        assert nothing_left(platform)


def stages_written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written: list[str] = []
    real = SnapshotStore.writer

    def writer(self: SnapshotStore, event: str, window: str, stage: str, schema: pa.Schema) -> SnapshotWriter:
        written.append(stage)
        return real(self, event, window, stage, schema)

    monkeypatch.setattr(SnapshotStore, "writer", writer)
    return written


@pytest.mark.parametrize("run", [apart, together])
@pytest.mark.parametrize(
    ("body", "more"),
    [
        ("return rows", ""),
        ("rows = rows.copy()\n    return rows.set_axis(rows.columns, axis=1)", ""),
        ("return rows[['amount', 'happened_at', 'id']]", ""),  # the contract's order is restored
        ("return rows.copy()", "whole_window=True,"),
    ],
)
def test_rows_that_nobody_touched_are_written_once(
    world: "World", monkeypatch: pytest.MonkeyPatch, run: "Run", body: str, more: str
) -> None:
    world.define(body, more=more)
    fill(world, 70_000)
    platform, written = world.platform(batch_rows=10_000), stages_written(monkeypatch)
    source, done = run(world, platform)
    assert sorted(written) == ["dead", "sourced"]
    store = platform.snapshots
    assert Path(store.url(source)).samefile(store.url(done.snapshot))
    assert (done.snapshot.rows, done.rows_in, done.dropped, done.dead) == (70_000, 70_000, 0, 0)
    # The same as if each value was written again.
    monkeypatch.setattr("pipelines.stages.transform.same_buffers", lambda *_: False)
    _, anew = run(world, platform)
    assert "transformed" in written
    assert anew.snapshot.sha256 == done.snapshot.sha256
    assert not Path(store.url(source)).samefile(store.url(anew.snapshot))
    store.verify(anew.snapshot)


@pytest.mark.parametrize("run", [apart, together])
@pytest.mark.parametrize(
    "body",
    [
        "rows.loc[rows.index[0], 'amount'] = 7",
        "rows['amount'].array[0] = 7",
        "rows['amount'].values[0] = 7",
        "rows.isetitem(2, rows['amount'] * 0 + 7)",
    ],
)
def test_rows_that_are_changed_where_they_stand_are_changed_rows(
    world: "World", run: "Run", body: str
) -> None:
    world.define(f"{body}\n    return rows")
    fill(world, 100)
    platform = world.platform()
    source, done = run(world, platform)
    first = {
        snapshot.path: next(platform.snapshots.read(snapshot, batch_rows=100))["amount"][0].as_py()
        for snapshot in (source, done.snapshot)
    }
    assert first == {source.path: 0, done.snapshot.path: 7}


@pytest.mark.parametrize("run", [apart, together])
def test_the_first_row_that_is_changed_has_the_rows_before_it_written_and_no_row_transformed_twice(
    world: "World", monkeypatch: pytest.MonkeyPatch, run: "Run"
) -> None:
    world.define(f"{UNTIL_40_000} return rows.assign(amount=rows['amount'] + 1)")
    fill(world, 100_000)
    platform, written = world.platform(batch_rows=10_000), stages_written(monkeypatch)
    applied: list[tuple[int, int]] = []
    real = Transformer.apply

    def apply(
        self: Transformer, batch: pa.RecordBatch, first_row: int, chosen: Sequence[int] | None = None
    ) -> TransformedBatch:
        applied.append((first_row, batch.num_rows))
        return real(self, batch, first_row, chosen)

    monkeypatch.setattr(Transformer, "apply", apply)
    source, done = run(world, platform)
    assert sorted(written) == ["dead", "sourced", "transformed"]
    assert [first for first, _ in applied] == [
        sum(rows for _, rows in applied[:n]) for n in range(len(applied))
    ]
    assert sum(rows for _, rows in applied) == 100_000
    found = pa.Table.from_batches(platform.snapshots.read(done.snapshot, batch_rows=50_000))
    amounts = pa.Table.from_batches(platform.snapshots.read(source, batch_rows=50_000))["amount"].to_numpy()
    changed = max(first for first, _ in applied if first <= 40_000)
    assert (found["amount"].to_numpy() == np.where(np.arange(100_000) < changed, amounts, amounts + 1)).all()
    assert changed > 0 and nothing_left(platform)


@pytest.mark.parametrize("run", [apart, together])
def test_nulls_where_the_contract_has_none_are_dead_letters_of_untouched_rows(
    world: "World", run: "Run"
) -> None:
    world.define(more="dead_letters=0.5,")
    fill(world, 70_000, select="nullif(amount, 50_000)")
    platform = world.platform(batch_rows=10_000)
    source, done = run(world, platform)
    assert (source.rows, done.snapshot.rows, done.dead) == (70_000, 69_999, 1)
    assert done.sample[0]["source_row"] == 50_000
    (null,) = [
        batch for batch in platform.snapshots.read(source, batch_rows=70_000) if batch["amount"].null_count
    ]
    assert null["amount"].null_count == 1


def test_a_source_that_is_altered_before_its_rows_are_read_again_is_refused(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world.define(f"{UNTIL_40_000} return rows.assign(amount=1)")
    fill(world, 70_000)
    platform = world.platform(batch_rows=10_000)
    real = SnapshotStore.adopt

    def adopt(self: SnapshotStore, staging: Path, path: str) -> None:
        real(self, staging, path)
        target = Path(self.url_of(path))
        whole = target.read_bytes()
        target.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])

    monkeypatch.setattr(SnapshotStore, "adopt", adopt)
    window = world.event.windows.window(WINDOW)
    _, transformed = source_and_transform(world.event, window, platform, run_id="r")
    with pytest.raises(SnapshotError, match="altered"):
        transformed()
    assert current(platform)[1:] == [None, None] and nothing_left(platform)


def test_sources_of_other_types_and_those_stored_as_the_warehouse_described_them_are_written(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(world, 500)
    platform = world.platform()
    window = world.event.windows.window(WINDOW)
    _, expected = apart(world, platform)
    written = stages_written(monkeypatch)
    monkeypatch.setattr("pipelines.stages.source.alike", lambda *_: False)
    source_window(world.event, window, platform, run_id="r")
    found = transform_window(world.event, window, platform, run_id="r")
    assert found.snapshot.sha256 == expected.snapshot.sha256 != found.facts["source"]
    assert "transformed" in written
    written.clear()
    monkeypatch.undo()
    written = stages_written(monkeypatch)
    fill(world, 500, select="amount::INTEGER")
    platform = world.platform()
    together(world, platform)
    assert sorted(written) == ["dead", "sourced", "transformed"]


def test_another_key_is_another_snapshot(world: "World") -> None:
    fill(world, 50)
    platform = world.platform()
    _, first = together(world, platform)
    world.define(key="amount")
    _, other = together(world, platform)
    assert first.snapshot.sha256 != other.snapshot.sha256


def test_types_that_are_read_as_others_than_written_are_read_back(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world.define("return rows.assign(amount=rows['amount'].astype('int64[pyarrow]'))")
    fill(world, 50, select="('' || amount % 3)::ENUM('0', '1', '2')")
    read: list[Snapshot] = []
    real = SnapshotStore.read

    def reading(self: SnapshotStore, snapshot: Snapshot, **how: int) -> Iterator[pa.RecordBatch]:
        read.append(snapshot)
        return real(self, snapshot, **how)  # type: ignore[arg-type]

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
        if written > 100_000:
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
    from resources.warehouse.duckdb.warehouse import DuckDBWarehouse

    real, lost = DuckDBWarehouse._batches, []

    def turned(self: DuckDBWarehouse, reader: pa.RecordBatchReader, sql: str) -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(real(self, reader, sql)):
            if number == 2 and not lost and len(batch.schema) > 2:
                lost.append(batch)
                yield batch.take(pa.array(range(batch.num_rows))[::-1])
            else:
                yield batch

    monkeypatch.setattr(DuckDBWarehouse, "_batches", turned)
    platform = world.platform()
    found = run(world, platform)
    assert lost
    assert [found[0].sha256, found[1].snapshot.sha256] == [
        expected[0].sha256,
        expected[1].snapshot.sha256,
    ]
    assert nothing_left(platform)


@pytest.mark.parametrize("run", [apart, together])
def test_a_sort_that_runs_out_of_memory_among_its_rows_is_done_otherwise(
    world: "World", monkeypatch: pytest.MonkeyPatch, run: object
) -> None:
    fill(world, 150_000, order="hash(amount)")
    expected = apart(world, world.platform())
    from resources.warehouse.duckdb.errors import refused
    from resources.warehouse.duckdb.warehouse import DuckDBWarehouse

    real, given = DuckDBWarehouse._batches, []

    def short(self: DuckDBWarehouse, reader: pa.RecordBatchReader, sql: str) -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(real(self, reader, sql)):
            if number == 2 and len(given) < 2 and len(batch.schema) > 2:
                given.append(batch)
                raise refused("warehouse", duckdb.OutOfMemoryException("failed to pin block"), sql)
            yield batch

    monkeypatch.setattr(DuckDBWarehouse, "_batches", short)
    platform = world.platform()
    found = run(world, platform)
    assert len(given) == 2
    assert [found[0].sha256, found[1].snapshot.sha256] == [
        expected[0].sha256,
        expected[1].snapshot.sha256,
    ]
    assert nothing_left(platform)


def test_out_of_order_says_what_to_do_where_nobody_streams_again() -> None:
    assert "materialize the window again" in str(OutOfOrder("warehouse x"))
