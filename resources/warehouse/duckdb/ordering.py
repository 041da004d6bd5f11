"""Whether rows already come in their order, so that no sort is needed. They do if
the table grows by appending."""

import pyarrow as pa
import pyarrow.compute as pc


class Ascending:
    """Gets the batches of a query one by one, and says whether every row is greater than the row before it by
    `names`: an instant or a number, and then a text or a number.

    Rows that are equal in both columns, or null in one, are not ascending: other columns decide their order.
    """

    def __init__(self, names: tuple[str, str]) -> None:
        self._names = names
        self._last: list[pa.Array] | None = None

    def goes_on(self, batch: pa.RecordBatch) -> bool:
        """Whether the rows of `batch` ascend, starting after the last row of the batch before."""
        if not batch.num_rows:
            return True
        columns = [batch.column(name) for name in self._names]
        if any(column.null_count for column in columns) or not _comparable(*columns):
            return False
        last = [column.slice(len(column) - 1) for column in columns]
        if self._last is not None:
            joints = [
                pa.concat_arrays([before, column.slice(0, 1)])
                for before, column in zip(self._last, columns, strict=True)
            ]
            if not _ascends(*joints):
                return False
        self._last = last
        return _ascends(*columns)


def _comparable(first: pa.Array, second: pa.Array) -> bool:
    """Whether Arrow orders these values as DuckDB does."""
    kind, key = first.type, second.type
    return bool(
        (pa.types.is_timestamp(kind) or pa.types.is_date32(kind) or pa.types.is_integer(kind))
        and (pa.types.is_string(key) or pa.types.is_large_string(key) or pa.types.is_integer(key))
    )


def _ascends(first: pa.Array, second: pa.Array) -> bool:
    before, behind = first.slice(0, len(first) - 1), first.slice(1)
    if not len(before) or pc.all(pc.less(before, behind)).as_py():
        return True
    if pc.any(pc.greater(before, behind)).as_py():
        return False
    ties = pc.equal(before, behind)
    less = pc.less(second.slice(0, len(before)).filter(ties), second.slice(1).filter(ties))
    return bool(pc.all(less).as_py())
