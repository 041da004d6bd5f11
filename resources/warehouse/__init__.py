"""Warehouses: where the rows come from."""

from resources.warehouse.ordering import OutOfOrder
from resources.warehouse.protocol import Column, Warehouse, WarehouseError, open_warehouse

__all__ = ["Column", "OutOfOrder", "Warehouse", "WarehouseError", "open_warehouse"]
