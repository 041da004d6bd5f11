"""What the suite of `conformance/` does not test:
kinds that have schemas and quote an author's words; and many rows."""

import re

import pyarrow as pa
import pytest

from resources.warehouse import Warehouse, WarehouseError
from tests.resources.warehouse.conftest import taken


def test_batches_are_no_larger_than_asked(warehouse: Warehouse) -> None:
    with warehouse.stream("SELECT i FROM wide", {}, order_by=["i"], batch_rows=5000) as batches:
        sizes = [batch.num_rows for batch in batches]
    assert sum(sizes) == 400_000
    assert max(sizes) <= 5000


def test_a_fault_in_the_middle_of_the_rows_is_a_refusal_too(warehouse: Warehouse) -> None:
    sql = "SELECT CAST(CASE WHEN i = 399999 THEN 'abc' ELSE '1' END AS INTEGER) AS n FROM wide"
    with pytest.raises(WarehouseError, match="abc"):
        taken(warehouse, sql)
    assert taken(warehouse, "SELECT 1 AS one").num_rows == 1


def test_tables_of_other_schemas_are_qualified(warehouse: Warehouse) -> None:
    assert warehouse.tables() == ["t", "wide", "raw.orders"]
    columns = warehouse.columns("raw.orders")
    assert [(c.name, c.arrow_type, c.nullable) for c in columns] == [
        ("order_id", pa.int32(), False),
        ('odd "name', pa.string(), True),
    ]
    with pytest.raises(WarehouseError, match=re.escape("Did you mean 'raw.orders'?")):
        warehouse.columns("raw.order")
