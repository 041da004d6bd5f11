"""Warehouses: where the rows come from."""

from resources.warehouse.protocol import Column, Warehouse, WarehouseError, open_warehouse

__all__ = ["Column", "Warehouse", "WarehouseError", "open_warehouse"]
