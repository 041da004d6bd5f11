"""Warehouses: where the rows come from."""

from resources.warehouse.deadline import TookTooLong
from resources.warehouse.names import sql_name
from resources.warehouse.ordering import OutOfOrder
from resources.warehouse.protocol import Column, Warehouse, WarehouseError, open_warehouse

__all__ = ["Column", "OutOfOrder", "TookTooLong", "Warehouse", "WarehouseError", "open_warehouse", "sql_name"]
