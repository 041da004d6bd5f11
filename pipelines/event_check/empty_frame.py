"""What can be found out about a transform without a row: with an empty frame that has the query's types."""

from typing import Any

import pandas as pd
import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.loading.author_output import author_output_aside
from pipelines.event_check.plain_row import plain_row
from pipelines.transform import Transformer
from pipelines.transform.authors_code import asks_to_stop
from pipelines.transform.frames import checked_frame, column_of, frame_of
from resources.wording import raised


class RaisedOnEmpty(Exception):
    """The transform raised for a frame without rows, which a run never passes. The text is what it raised."""


def require_columns(event: Event, schema: pa.Schema, where: str) -> None:
    """Raises ConformError if the query's columns, or those that the transform returns, cannot fit the
    contract for any rows; RaisedOnEmpty if the transform does not accept an empty frame.

    `schema` is the schema of the query's rows.
    """
    if event.transform is not None:
        frame = frame_of(pa.RecordBatch.from_pylist([], schema=schema), 0)
        try:
            with author_output_aside():
                result = event.transform(frame)
        except BaseException as error:
            if asks_to_stop(error):
                raise
            raise RaisedOnEmpty(raised(error)) from error
        made = checked_frame(result, where)
        # By position: the conformer reports a name that occurs twice.
        columns = [made.iloc[:, place] for place in range(len(made.columns))]
        fields = [
            pa.field(str(name), _type(series)) for name, series in zip(made.columns, columns, strict=True)
        ]
        schema = pa.schema(fields)
    Transformer(
        event.contract,
        transform=None,
        key=event.key,
        event_time=event.event_time,
        event_id=event.event_id,
        where=where,
    ).apply(plain_row(schema), 0)


def _type(series: "pd.Series[Any]") -> pa.DataType:
    """The Arrow type; null if the type of a series without rows may change with rows."""
    if isinstance(series.dtype, pd.StringDtype):  # from astype(str); it stays text with any rows
        return pa.string()
    if not isinstance(series.dtype, pd.ArrowDtype | pd.DatetimeTZDtype):
        return pa.null()
    column = column_of(series)
    return pa.null() if isinstance(column, list) else column.type
