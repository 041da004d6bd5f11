"""SQL as a driver wants it beside parameters."""

from resources.warehouse.protocol import ParameterStyle


def beside_parameters(sql: str, style: ParameterStyle) -> str:
    """SQL without parameters as it is written in a query that has some: in the style `pyformat` each `%` is doubled."""
    return sql.replace("%", "%%") if style == "pyformat" else sql
