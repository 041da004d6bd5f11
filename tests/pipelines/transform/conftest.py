"""Contracts of one field, and the two ways a value can come: in an Arrow column, or as a Python object."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.contract import AvroType, Contract, parse_contract
from pipelines.transform.conforming.columns import conform_column


def build_contract(fields: dict[str, Any]) -> Contract:
    listed = [{"name": name, "type": avro, "doc": "A value."} for name, avro in fields.items()]
    text = json.dumps({"type": "record", "name": "T", "fields": listed})
    return parse_contract(text, Path("assets/flights/t.avsc"))


def parse_type(avro: Any) -> AvroType:
    return build_contract({"x": avro}).fields[0].type


class Outcome:
    """One conformed column: `values` in order (None if dead or null), `reasons` and `paths` by row."""

    def __init__(self, source: Any, avro: Any) -> None:
        parsed = parse_type(avro)
        self.array, misfits = conform_column(source, parsed)
        self.array.validate(full=True)
        self.values = self.array.to_pylist()
        self.reasons = {m.row: str(m.reason) for m in reversed(misfits)}
        self.paths = {m.row: m.path for m in reversed(misfits)}
        self.details = {m.row: m.detail for m in reversed(misfits)}


@pytest.fixture
def conform() -> Callable[..., Outcome]:
    """`conform(avro, values, arrow_type)`: an Arrow column; without a type: a column of Python objects."""

    def run(avro: Any, values: Any, arrow: Any = None) -> Outcome:
        if arrow is not None:
            values = pa.array(values, arrow)
        return Outcome(values, avro)

    return run


@pytest.fixture
def contract_of() -> Callable[[dict[str, Any]], Contract]:
    return build_contract


@pytest.fixture
def type_of() -> Callable[[Any], AvroType]:
    return parse_type
