"""Warehouses: where the rows come from."""

from resources.warehouse.deadline import TookTooLong
from resources.warehouse.duckdb.ordering import OutOfOrder
from resources.warehouse.factory import open_warehouse
from resources.warehouse.names import quoted, sql_name
from resources.warehouse.protocol import (
    Column,
    ForeignKey,
    SourceTable,
    Warehouse,
    WarehouseError,
)

__all__ = [
    "Column",
    "ForeignKey",
    "OutOfOrder",
    "SourceTable",
    "TookTooLong",
    "Warehouse",
    "WarehouseError",
    "open_warehouse",
    "quoted",
    "sql_name",
]
