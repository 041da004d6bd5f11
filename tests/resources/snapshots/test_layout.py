"""The layout of snapshot files:
every value unchanged, bytes that depend only on the rows, small if values repeat."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.snapshots import Snapshot, SnapshotStore
from resources.snapshots.writer import ROW_GROUP_ROWS

EVENT, WINDOW = "flights/departed", "2013-01-01"
ROWS = ROW_GROUP_ROWS + 1000
_INSTANT = dt.datetime(2013, 1, 1, tzinfo=dt.UTC)

# Values that repeat and values that do not, of every type that has its own layout.
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "flag": (pa.bool_(), [True, False, None]),
    "tiny": (pa.uint8(), [0, 255, None]),
    "whole": (pa.int64(), [2**63 - 1, -(2**63), 0, None]),
    "single": (pa.float32(), [0.0, -0.0, 1.5, None]),
    "double": (pa.float64(), [float("inf"), -0.0, 0.1, None]),
    "day": (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31), None]),
    "instant": (pa.timestamp("us", "UTC"), [_INSTANT, _INSTANT - dt.timedelta(days=400_000), None]),
    "fine": (pa.timestamp("ns"), [2**63 - 1, -(2**63) + 1, None]),
    "time": (pa.time64("us"), [dt.time(0), dt.time(23, 59, 59, 999999), None]),
    "small_money": (pa.decimal128(9, 2), [Decimal("9999999.99"), Decimal("-9999999.99"), None]),
    "money": (pa.decimal128(18, 2), [Decimal("9999999999999999.99"), Decimal("-0.01"), None]),
    "huge": (pa.decimal128(38, 10), [Decimal("1234567890123456789012345678.0123456789"), None]),
    "text": (pa.string(), ["", "a", "ü" * 40, None]),
    "long.text": (pa.large_string(), ["with a dot in its name", None]),
    "bytes": (pa.binary(), [b"", b"\x00\xff", None]),
    "fixed": (pa.binary(4), [b"\x00\x01\x02\x03", None]),
    "symbol": (pa.dictionary(pa.int8(), pa.string()), ["one", "two", None]),
    'q"uoted ü': (pa.int32(), [1, None]),
    "nothing": (pa.null(), [None]),
    "list": (pa.list_(pa.int64()), [[], [1, None], None]),
    "struct": (pa.struct([("a", pa.int32()), ("b", pa.string())]), [{"a": 1, "b": "x"}, None]),
    "map": (pa.map_(pa.string(), pa.float64()), [[("k", 1.0)], [], None]),
}


def table(columns: dict[str, tuple[pa.DataType, list[Any]]], count: int) -> pa.Table:
    arrays = {}
    for name, (type_, values) in columns.items():
        repeated = pa.array(values, type_)
        arrays[name] = repeated.take(pa.array([n * 7 % len(values) for n in range(count)]))
    return pa.table(arrays)


def write(store: SnapshotStore, rows: pa.Table, *, cuts: int = 30_000) -> Snapshot:
    with store.writer(EVENT, WINDOW, "sourced", rows.schema) as out:
        for batch in rows.to_batches(max_chunksize=cuts):
            out.write(batch)
        return out.finish({})


@pytest.mark.parametrize("name", COLUMNS)
def test_values_of_every_type_come_back_whatever_the_batches(tmp_path: Path, name: str) -> None:
    store = SnapshotStore(str(tmp_path))
    rows = table({name: COLUMNS[name]}, ROWS)
    snapshot = write(store, rows)
    assert snapshot.sha256 == write(store, rows, cuts=7_001).sha256
    found = pa.Table.from_batches(store.read(snapshot, batch_rows=10_000), store.schema(snapshot))
    assert found.schema.equals(rows.schema)
    assert found.column(0).to_pylist() == rows.column(0).to_pylist()


def test_all_columns_stand_in_one_file(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    rows = table(COLUMNS, 1000)
    found = pa.Table.from_batches(store.read(write(store, rows), batch_rows=300), rows.schema)
    assert found.to_pylist() == rows.to_pylist()


def test_columns_that_parquet_cannot_tell_apart_by_name_are_kept(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    rows = pa.table(
        [pa.array(["x", "y"]), pa.array([{"b": 1}, {"b": 2}]), pa.array([1, 2]), pa.array([3.0, 4.0])],
        names=["a.b", "a", "c", "c"],
    )
    found = pa.Table.from_batches(store.read(write(store, rows), batch_rows=300), rows.schema)
    assert [column.to_pylist() for column in found.columns] == [column.to_pylist() for column in rows.columns]


def test_values_that_repeat_are_stored_once(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    count = ROW_GROUP_ROWS
    rows = pa.table(
        {
            "repeats": pa.array([f"one of a few long texts, number {n % 50}" for n in range(count)]),
            "differs": pa.array([f"{n * 7919 % count:08d}" for n in range(count)]),
            "neighbours_alike": pa.array([f"{n // 4:08d}" for n in range(count)]),
            "counts": pa.array(range(count), pa.int64()),
        }
    )
    snapshot = write(store, rows)
    with pq.ParquetFile(tmp_path / snapshot.path) as parquet:
        group = parquet.metadata.row_group(0)
        encodings = [set(group.column(place).encodings) for place in range(4)]
        sizes = [group.column(place).total_compressed_size for place in range(4)]
    assert "RLE_DICTIONARY" in encodings[0] and sizes[0] < count
    assert "RLE_DICTIONARY" not in encodings[1] and "RLE_DICTIONARY" not in encodings[2]
    assert "DELTA_BINARY_PACKED" in encodings[3] and sizes[3] < count // 8


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    store = SnapshotStore(str(tmp_path))
    rows = table({name: COLUMNS[name] for name in ("money", "text", "instant", "list")}, ROWS)
    snapshot = write(store, rows)
    # As files were laid out in earlier versions: dictionaries for all, zstd, decimals as bytes, statistics.
    pq.write_table(
        rows, tmp_path / snapshot.path, compression="zstd", compression_level=1, row_group_size=ROW_GROUP_ROWS
    )
    found = pa.Table.from_batches(store.read(snapshot, batch_rows=10_000), store.schema(snapshot))
    assert found.equals(rows)
