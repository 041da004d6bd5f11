"""DuckDB behind the warehouse protocol."""
