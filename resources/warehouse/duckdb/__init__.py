"""DuckDB as a warehouse of the protocol."""
