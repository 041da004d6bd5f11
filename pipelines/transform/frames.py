"""Arrow batches to pandas frames and back, without a value changing on the way.

A frame's index, named `source_row`, counts the rows of the window's snapshot, so that a row is known by
its source after any filtering, sorting or exploding. Where a transform drops that index (a merge, a
reset_index), the name goes with it, and the source rows are unknown rather than wrong.

A NaN that the source holds stays NaN, and becomes a dead letter. One that a transform computes in an
Arrow-backed or masked column (0 / 0) is null by pandas 3's own rule, before Sluice sees it.
"""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.transform.conforming.columns import plain
from pipelines.transform.conforming.leaves import ColumnMismatchError, uuid_text
from pipelines.transform.errors import ConformError, ConformProblem

SOURCE_ROW = "source_row"


def frame_of(batch: Any, first_row: int) -> pd.DataFrame:
    """`batch` as an Arrow-backed frame with source rows from `first_row` on as its index."""
    arrays = [_for_pandas(array) for array in batch.columns]
    # By names alone: pandas metadata in a snapshot's schema would turn columns into an index again.
    table = pa.Table.from_arrays(arrays, names=batch.schema.names)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    frame.index = pd.RangeIndex(first_row, first_row + batch.num_rows, name=SOURCE_ROW)
    return frame


def _for_pandas(array: Any) -> Any:
    if isinstance(array.type, pa.BaseExtensionType):
        return uuid_text(array.storage) if array.type.extension_name == "arrow.uuid" else plain(array)
    return array


def checked_frame(result: object, where: str) -> pd.DataFrame:
    """What a transform returned, if it is a frame."""
    if not isinstance(result, pd.DataFrame):
        returned = "None (no return?)" if result is None else f"a {type(result).__name__}"
        raise ConformError(where, (ConformProblem(f"the transform returned {returned}", "a DataFrame"),))
    return result


def source_rows_of(frame: pd.DataFrame, first_row: int, row_count: int) -> Any:
    """The source row of each row as an int64 array, or None where the transform lost them."""
    index = frame.index
    if index.name != SOURCE_ROW or index.nlevels != 1 or not pd.api.types.is_integer_dtype(index.dtype):
        return None
    labels = index.to_numpy(dtype=np.int64)
    if len(labels) and (labels.min() < first_row or labels.max() >= first_row + row_count):
        return None
    return labels


def column_of(series: "pd.Series[Any]") -> Any:
    """A frame's column as an Arrow array, or as a list of Python objects where its type says nothing.

    NaN stays NaN: only what pandas' own type calls missing becomes null. Raises ColumnMismatchError where Arrow
    has no such type.
    """
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return series.tolist()
    if isinstance(dtype, pd.SparseDtype):
        return column_of(pd.Series(np.asarray(series)))
    if isinstance(dtype, pd.CategoricalDtype):
        return _from_categories(series)
    try:
        # to_numpy for numpy's own types: given the series, Arrow would take each NaN for null.
        values = series.to_numpy() if isinstance(dtype, np.dtype) else series.array
        return _one_array(pa.array(values, from_pandas=False))
    except UnicodeEncodeError:  # lone surrogates, which only Python's own strings can hold
        return [None if missing else value for value, missing in zip(series, series.isna(), strict=True)]
    except pa.ArrowException as error:
        raise ColumnMismatchError(
            f"{dtype}, which has no Arrow type ({error})", "a type that Arrow has"
        ) from None


def _from_categories(series: "pd.Series[Any]") -> Any:
    categories = column_of(pd.Series(series.cat.categories))
    codes = series.cat.codes.to_numpy()
    if isinstance(categories, list):  # objects: Arrow would guess one type for them all
        return [None if code < 0 else categories[code] for code in codes]
    return categories.take(pa.array(codes, mask=codes < 0))


def _one_array(array: Any) -> Any:
    if not isinstance(array, pa.ChunkedArray):
        return array
    if array.num_chunks == 1:
        return array.chunk(0)
    if not array.num_chunks:
        return pa.array([], array.type)
    # Plain first: Arrow does not concatenate dictionaries that hold a null.
    return pa.concat_arrays([plain(chunk) for chunk in array.chunks])
