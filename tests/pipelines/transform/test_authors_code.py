"""What an author's code may do: print, and raise anything."""

import asyncio
from collections.abc import Callable
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from pipelines.contract import Contract
from pipelines.transform import Transformer

FIELDS = {"id": "string", "at": {"type": "long", "logicalType": "timestamp-micros"}}


class Panic(BaseException):
    """As Rust's panics appear in Python."""


def transformer(contract_of: Callable[[dict[str, Any]], Contract], transform: Any) -> Transformer:
    return Transformer(contract_of(FIELDS), transform=transform, key="id", event_time="at", where="here")


BATCH = pa.record_batch({"id": ["a", "b"], "at": pa.array([0, 1], pa.timestamp("us", "UTC"))})


@pytest.mark.parametrize("error", [Panic, asyncio.CancelledError, GeneratorExit, SystemExit, ValueError])
def test_whatever_a_transform_raises_is_a_dead_letter(contract_of: Any, error: type[BaseException]) -> None:
    def transform(rows: pd.DataFrame) -> pd.DataFrame:
        if (rows["id"] == "b").any():
            raise error("no")
        return rows

    done = transformer(contract_of, transform).apply(BATCH, 0)
    assert done.rows.num_rows == 1
    assert done.dead.column("detail").to_pylist()[0].startswith(f"{error.__name__}: no")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, dg.DagsterExecutionInterruptedError])
def test_a_request_to_stop_is_no_dead_letter(contract_of: Any, error: type[BaseException]) -> None:
    def straight(_: pd.DataFrame) -> pd.DataFrame:
        raise error()

    def within_c_code(_: pd.DataFrame) -> pd.DataFrame:
        raise SystemError("returned a result with an exception set") from error()

    with pytest.raises(error):
        transformer(contract_of, straight).apply(BATCH, 0)
    with pytest.raises(SystemError):
        transformer(contract_of, within_c_code).apply(BATCH, 0)


def test_what_a_transform_prints_is_not_in_the_commands_output(
    contract_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def transform(rows: pd.DataFrame) -> pd.DataFrame:
        print("rows:", len(rows))
        return rows

    transformer(contract_of, transform).apply(BATCH, 0)
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "rows: 2\n")
