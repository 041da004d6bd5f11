"""How each column is laid out in a snapshot's file: small and quick to write and to read, by its type and, where the
type does not tell, by the rows of the first row group.

The bytes must depend on the rows alone, so nothing else is looked at. Whole numbers, instants and decimals of up to 18
digits are stored as the differences of neighbours, which needs no compression. Text and the like are stored as a
dictionary where few values repeat, else as they are, under a compression that costs little. Statistics are left out:
nobody skips rows of a snapshot by them.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Enough to tell a repeating column, taken from all over the group: neighbours may be alike without repeating.
_SAMPLE = 8192


@lru_cache(maxsize=256)
def _leaves(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """Parquet's path and physical type of each column of plain values. Raises ArrowNotImplementedError."""
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema, store_decimal_as_integer=True).close()
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as empty:
        columns = (empty.schema.column(place) for place in range(len(empty.schema)))
        return tuple((column.path, column.physical_type) for column in columns)


def require_storable(schema: pa.Schema) -> None:
    """Raises ArrowNotImplementedError where Parquet has no such type."""
    _leaves(schema)


def layout(schema: pa.Schema, first_group: pa.Table) -> dict[str, Any]:
    """Options of the ParquetWriter of a file with these rows in front."""
    leaves = _leaves(schema)
    paths = [path for path, _ in leaves]
    if len(set(paths)) < len(
        paths
    ):  # `a.b`, and a struct `a` with a field `b`: options could not tell them apart
        return {"use_dictionary": True, "compression": "lz4", "write_statistics": False}
    whole = [path for path, physical in leaves if physical in ("INT32", "INT64")]
    other = [path for path, physical in leaves if physical not in ("INT32", "INT64", "BOOLEAN")]
    plain = {field.name: place for place, field in enumerate(schema) if not pa.types.is_nested(field.type)}
    return {
        "use_dictionary": [
            path for path in other if path not in plain or _repeats(first_group.column(plain[path]))
        ],
        "column_encoding": dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
        "compression": {path: "lz4" if path in other else "none" for path in paths},
        "store_decimal_as_integer": True,
        "write_statistics": False,
    }


def _repeats(column: pa.ChunkedArray) -> bool:
    if pa.types.is_dictionary(column.type):
        return True
    step = max(1, len(column) // _SAMPLE)
    sample = column.take(pa.array(np.arange(0, len(column), step)))
    try:
        return bool(pc.count_distinct(sample).as_py() <= len(sample) // 2)
    except pa.ArrowNotImplementedError:  # an extension's values, for instance
        return False
