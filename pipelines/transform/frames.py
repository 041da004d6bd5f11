"""Arrow batches to pandas frames and back, without a change of any value.

A frame's index, named `source_row`, counts the rows of the window's snapshot. So the source of a row is known
after any filter, sort or explode. If a transform drops that index (a merge, a reset_index), the name is lost
too, and the source rows are unknown, but never wrong.

A NaN in the source stays NaN, and becomes a dead letter. A NaN that a transform computes in an Arrow-backed
or masked column (0 / 0) is null by pandas 3's own rule, before Sluice sees it.
"""

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.transform.conforming.columns import Integers, SourceColumn, plain
from pipelines.transform.conforming.leaves import ColumnMismatchError, uuid_text
from pipelines.transform.errors import ConformError, ConformProblem

SOURCE_ROW = "source_row"


def frame_of(batch: pa.RecordBatch, first_row: int) -> pd.DataFrame:
    """`batch` as an Arrow-backed frame; its index is the source rows, starting at `first_row`."""
    arrays = [_for_pandas(array) for array in batch.columns]
    # Only the names are used: pandas metadata in a snapshot's schema would make an index of columns again.
    table = pa.Table.from_arrays(arrays, names=batch.schema.names)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.index = pd.RangeIndex(first_row, first_row + batch.num_rows, name=SOURCE_ROW)
    return frame


def _for_pandas(array: pa.Array) -> pa.Array:
    if isinstance(array.type, pa.BaseExtensionType):
        return uuid_text(array.storage) if array.type.extension_name == "arrow.uuid" else plain(array)
    return array


def checked_frame(result: object, where: str) -> pd.DataFrame:
    """The result of a transform, if it is a frame; otherwise raises ConformError."""
    if not isinstance(result, pd.DataFrame):
        returned = "None (no return?)" if result is None else f"a {type(result).__name__}"
        raise ConformError(where, (ConformProblem(f"the transform returned {returned}", "a DataFrame"),))
    return result


def source_rows_of(frame: pd.DataFrame, first_row: int, row_count: int) -> Integers | None:
    """The source row of each row, or None if the transform lost them."""
    index = frame.index
    if index.name != SOURCE_ROW or index.nlevels != 1 or not pd.api.types.is_integer_dtype(index.dtype):
        return None
    labels = index.to_numpy(dtype=np.int64)
    if len(labels) and (labels.min() < first_row or labels.max() >= first_row + row_count):
        return None
    return labels


def column_of(series: pd.Series) -> SourceColumn:
    """A frame's column as an Arrow array, or as a list of Python objects if its type
    says nothing about its values.

    NaN stays NaN: only what pandas' own type calls missing becomes null. Raises ColumnMismatchError if Arrow
    does not have the column's type.
    """
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return series.tolist()
    if isinstance(dtype, pd.SparseDtype):
        return column_of(pd.Series(np.asarray(series)))
    if isinstance(dtype, pd.CategoricalDtype):
        return _from_categories(series)
    try:
        # to_numpy for numpy's own types: from the series itself, Arrow would make null of each NaN.
        values = series.to_numpy() if isinstance(dtype, np.dtype) else series.array
        return _one_array(pa.array(values, from_pandas=False))
    except UnicodeEncodeError:  # lone surrogates, which only Python's own strings can contain
        return [None if missing else value for value, missing in zip(series, series.isna(), strict=True)]
    except pa.ArrowException as error:
        raise ColumnMismatchError(
            f"{dtype}, which has no Arrow type ({error})", "a type that Arrow has"
        ) from None


def _from_categories(series: pd.Series) -> SourceColumn:
    categories = column_of(pd.Series(series.cat.categories))
    codes = series.cat.codes.to_numpy()
    if isinstance(categories, list):  # objects: Arrow would guess one type for all of them
        return [None if code < 0 else categories[code] for code in codes]
    return categories.take(pa.array(codes, mask=codes < 0))


def _one_array(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(array, pa.ChunkedArray):
        return array
    if array.num_chunks == 1:
        return array.chunk(0)
    if not array.num_chunks:
        return pa.array([], array.type)
    # Decode first: Arrow does not concatenate dictionaries that contain a null.
    return pa.concat_arrays([plain(chunk) for chunk in array.chunks])
