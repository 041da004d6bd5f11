"""How each column is stored in a snapshot's file, so that the file is small and quick to write and to read.
The column's type decides; if the type is not enough, the rows of the first row group decide.

The bytes must depend only on the rows, so nothing else is used. Whole numbers, instants and decimals of up to
18 digits are stored as differences between neighbours, which needs no compression. Text and similar types are
stored as a dictionary if values repeat, else as they are, with a cheap compression. There are no statistics:
nobody uses them to skip rows of a snapshot.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from resources.snapshots.nullability import stored_schema

# Enough rows to recognise a column with repeated values. They come from all over the group: neighbours may be
# equal in a column that repeats little.
_SAMPLE = 8192


@lru_cache(maxsize=256)
def _empty(schema: pa.Schema) -> tuple[tuple[tuple[str, str], ...], pa.Schema]:
    """Parquet's path and physical type of each column of plain values, and the
    schema with which a file is read.

    Raises ArrowNotImplementedError if Parquet does not have one of the types.
    """
    sink = pa.BufferOutputStream()
    pq.ParquetWriter(sink, schema, store_decimal_as_integer=True).close()
    with pq.ParquetFile(pa.BufferReader(sink.getvalue())) as empty:
        columns = (empty.schema.column(place) for place in range(len(empty.schema)))
        return tuple((column.path, column.physical_type) for column in columns), empty.schema_arrow


def leaf_columns(schema: pa.Schema) -> int:
    """The number of columns of plain values in which the rows are stored. Raises ArrowNotImplementedError if
    Parquet does not have one of the types."""
    leaves, _ = _empty(schema)
    return len(leaves)


def read_as_written(schema: pa.Schema) -> bool:
    """Whether rows of `schema` are read back as exactly the arrays that were written. Exceptions: a date in
    milliseconds is read as a date in days; a dictionary may lose values that no row has."""
    stored = stored_schema(schema)
    try:
        _, read = _empty(stored)
    except pa.ArrowNotImplementedError:
        return False
    return bool(read.equals(stored)) and not any(_indirect(field.type) for field in schema)


def _indirect(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_) or isinstance(type_, pa.BaseExtensionType):
        return True
    return any(_indirect(type_.field(place).type) for place in range(type_.num_fields))


def layout(schema: pa.Schema, first_group: pa.Table) -> dict[str, Any]:
    """The ParquetWriter's options for a file that begins with these rows."""
    leaves, _ = _empty(schema)
    paths = [path for path, _ in leaves]
    if len(set(paths)) < len(
        paths
    ):  # `a.b`, and a struct `a` with a field `b`: options cannot tell them apart
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
    except pa.ArrowNotImplementedError:  # for example an extension type
        return False
