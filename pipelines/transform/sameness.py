"""Whether rows are exactly the rows from which they were made, without reading a value."""

import pyarrow as pa


def same_buffers(one: pa.RecordBatch, other: pa.RecordBatch) -> bool:
    """Whether two record batches have the same columns, each with the same bytes
    at the same address in memory.

    Equal values at another address count as different. Nested columns always count as different, because
    their bytes are in many places.
    """
    return (
        one.num_rows == other.num_rows
        and one.schema.names == other.schema.names
        and all(_same(left, right) for left, right in zip(one.columns, other.columns, strict=True))
    )


def _same(one: pa.Array, other: pa.Array) -> bool:
    kind = one.type
    if kind != other.type or pa.types.is_nested(kind) or pa.types.is_dictionary(kind):
        return False
    if one.offset != other.offset or one.null_count != other.null_count:
        return False
    (left_valid, *left), (right_valid, *right) = one.buffers(), other.buffers()
    if one.null_count and not _at(left_valid, right_valid):
        return False
    return len(left) == len(right) and all(map(_at, left, right))


def _at(one: pa.Buffer | None, other: pa.Buffer | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(one.address == other.address)
