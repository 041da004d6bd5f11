"""The tables of types in docs/warehouses.md, made from the warehouses and the cases."""

import re
from collections.abc import Sequence
from typing import Any

from pipelines.drafting.avro_types import avro_of
from resources.warehouse import Column, Warehouse
from tests.warehouse_types.cases import Case
from tests.warehouse_types.through import Dead

_HEAD = ("Arrow", "Avro in a draft", "Dead letters", "Refused: write instead")


def table(title: str, warehouse: Warehouse, cases: Sequence[Case]) -> str:
    """Markdown with a row for each way in which types are read; `warehouse` has a view `c<n>` for each case."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for number, case in enumerate(cases):
        if case.shown:
            column = warehouse.columns(f"c{number}")[-1]
            rows.setdefault(_cells(column, case), []).append(f"`{case.type}`")
    lines = [(title, *_HEAD), ("---",) * (len(_HEAD) + 1)]
    lines += [(", ".join(types), *cells) for cells, types in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |".replace("  |", " |") for line in lines) + "\n"


def _cells(column: Column, case: Case) -> tuple[str, ...]:
    if column.instead is not None:
        first, _, other = column.instead.removesuffix(")").partition(" AS x (or ")
        written = [f"`{first.removesuffix(' AS x')}`"]
        if other:
            sql, purpose = re.split(r" (?=to keep|for its)", other)
            written.append(f"or `{sql}` {purpose}")
        return "", "", "", ", ".join(written)
    avro = avro_of(column.arrow_type, "x")
    dead = dict.fromkeys(f"`{event.reason}`" for event in case.events if isinstance(event, Dead))
    return f"`{column.arrow_type}`", _avro(avro), ", ".join(dead), ""


def _avro(avro: Any) -> str:
    if isinstance(avro, str):
        return f"`{avro}`"
    logical = avro.get("logicalType")
    if logical == "decimal":
        return f"`decimal({avro['precision']}, {avro['scale']})`"
    return f"`{logical or avro['type']}`"
