"""SQL in the form that a driver requires if the query has parameters."""

from resources.warehouse.protocol import ParameterStyle


def beside_parameters(sql: str, style: ParameterStyle) -> str:
    """`sql`, which has no parameters, as part of a query that has some: in the style
    `pyformat` each `%` is doubled."""
    return sql.replace("%", "%%") if style == "pyformat" else sql
