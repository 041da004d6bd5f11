"""What can be said of a transform without a row: by a frame of the query's types that has none."""

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
    """The transform raised for a frame without rows, which no run gives it. The text is what it raised."""


def require_columns(event: Event, schema: pa.Schema, where: str) -> None:
    """Raises ConformError where the query's columns, or what the transform makes of them, cannot fit the contract
    whatever the rows are; RaisedOnEmpty where the transform does not say.

    `schema` is that of the query's rows.
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
        # By list: a name that stands twice is seen by the conformer.
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
    """The Arrow type; null where a series without rows has a type that rows may change."""
    if isinstance(series.dtype, pd.StringDtype):  # of astype(str); no rows make it anything else
        return pa.string()
    if not isinstance(series.dtype, pd.ArrowDtype | pd.DatetimeTZDtype):
        return pa.null()
    column = column_of(series)
    return pa.null() if isinstance(column, list) else column.type
