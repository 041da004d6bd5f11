"""PostgreSQL as a warehouse of the protocol, through ADBC and binary COPY."""

from resources.warehouse.postgresql.warehouse import PostgreSQLWarehouse

__all__ = ["PostgreSQLWarehouse"]
