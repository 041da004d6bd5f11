"""Warehouses: the source of the rows."""

from resources.warehouse.catalogue import Column, ForeignKey, SourceTable
from resources.warehouse.deadline import TookTooLong
from resources.warehouse.errors import OutOfOrder, QueryCancelled, WarehouseError
from resources.warehouse.factory import open_warehouse
from resources.warehouse.names import quoted, sql_name
from resources.warehouse.parameters import beside_parameters
from resources.warehouse.protocol import ParameterStyle, Warehouse
from resources.warehouse.statistics import ColumnStatistics, QueryCost, TableStatistics

__all__ = [
    "Column",
    "ColumnStatistics",
    "ForeignKey",
    "OutOfOrder",
    "ParameterStyle",
    "QueryCancelled",
    "QueryCost",
    "SourceTable",
    "TableStatistics",
    "TookTooLong",
    "Warehouse",
    "WarehouseError",
    "beside_parameters",
    "open_warehouse",
    "quoted",
    "sql_name",
]
