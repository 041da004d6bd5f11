"""The transform of flight_arrived, with three rows."""

import pandas as pd
import pyarrow as pa

from assets.flights.flight_arrived import flight_arrived


def test_punctuality_turns_at_fifteen_minutes_and_is_null_without_a_delay() -> None:
    table = pa.table({"delay_minutes": pa.array([15, None, -15], pa.int32())})
    rows = flight_arrived(table.to_pandas(types_mapper=pd.ArrowDtype))
    assert pa.Array.from_pandas(rows["punctuality"]).to_pylist() == ["LATE", None, "EARLY"]
    assert pa.Array.from_pandas(rows["delay_minutes"]).to_pylist() == [15, None, -15]


def test_within_fifteen_minutes_is_on_time() -> None:
    table = pa.table({"delay_minutes": pa.array([14, 0, -14], pa.int32())})
    rows = flight_arrived(table.to_pandas(types_mapper=pd.ArrowDtype))
    assert pa.Array.from_pandas(rows["punctuality"]).to_pylist() == ["ON_TIME"] * 3
