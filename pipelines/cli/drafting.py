"""The first draft of an event from a table's columns: one module and one contract, which a person then edits."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import pyarrow as pa

from pipelines.authoring.cadence import Cadence
from pipelines.cli.avro_types import avro_of, legal_name, nullable_field, record_name
from pipelines.cli.written import block, literal, require_declaration
from resources.errors import SluiceError, did_you_mean
from resources.warehouse import Column, sql_name

_KEY_TYPES = ("string", "int", "long", "bytes")


@dataclass(frozen=True)
class Draft:
    """The two files' texts, and `choices`: what was chosen for the author, each with why."""

    module: str
    contract: str
    choices: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What the author asked for; None: choose."""

    domain: str
    name: str
    table: str
    cadence: Cadence
    start: str
    warehouse: str
    owner: str


def choose_event_time(columns: Sequence[Column], wanted: str | None, table: str) -> tuple[Column, str]:
    """The column that says when, and why it was chosen. Raises SluiceError where there is none."""
    times = [c for c in columns if pa.types.is_timestamp(c.arrow_type) or pa.types.is_date(c.arrow_type)]
    if wanted is not None:
        column = _named(columns, wanted, table)
        if column not in times:
            raise SluiceError(
                f"column {table}.{wanted}",
                f"is {column.arrow_type}, not a point in time",
                allowed=", ".join(c.name for c in times) or "none: this table has no column with a time",
            )
        return column, "as you said"
    ranked = sorted(times, key=lambda c: (pa.types.is_date(c.arrow_type), c.nullable))
    if not ranked:
        raise SluiceError(
            f"table {table}",
            "has no column with a point in time, and an event happens at one",
            allowed=f"its columns are {', '.join(c.name for c in columns)}",
            next_step="choose a table that says when, or write the event by hand with a join that brings the time in",
        )
    kind = "date" if pa.types.is_date(ranked[0].arrow_type) else "timestamp"
    return ranked[0], f"the first {kind} column" + ("" if ranked[0].nullable else " that is never null")


def choose_key(
    columns: Sequence[Column], wanted: str | None, table: str, event_time: Column
) -> tuple[Column, str]:
    """The column that says whom it happened to, and why it was chosen."""
    usable = [c for c in columns if avro_of(c.arrow_type, "") in _KEY_TYPES and c is not event_time]
    if wanted is not None:
        column = _named(columns, wanted, table)
        if column not in usable:
            raise SluiceError(
                f"column {table}.{wanted}",
                f"is {column.arrow_type}, which cannot be a message key",
                allowed=", ".join(c.name for c in usable) or "a text or whole number",
            )
        return column, "as you said"
    singular = table.rpartition(".")[2].removesuffix("s")
    patterns = ("id", f"{singular}_?id", r".*_?(id|uuid|guid)", r".*_?key", r".*_?(code|num|number|no)")
    for pattern in patterns:
        for column in sorted(usable, key=lambda c: c.nullable):
            if re.fullmatch(pattern, column.name.lower()):
                return column, "its name looks like an identifier"
    ranked = sorted(usable, key=lambda c: (c.nullable, avro_of(c.arrow_type, "") != "string"))
    if not ranked:
        raise SluiceError(
            f"table {table}", "has no column that can be a message key", allowed="a text or whole number"
        )
    return ranked[
        0
    ], "no name looks like an identifier, and this is the first that can be a key: look at it closely"


def draft(request: Request, columns: Sequence[Column], key: Column, event_time: Column) -> Draft:
    """Module and contract over all columns that Avro can hold."""
    selected, fields, left_out = [], [], []
    names = _field_names(columns)
    for column in columns:
        name = names[column.name]
        instant = _instant(column) if column is event_time else None
        avro = (
            _instant_avro(column)
            if column is event_time
            else avro_of(column.arrow_type, f"{request.name}_{name}")
        )
        if avro is None:
            left_out.append(_left_out(column))
            continue
        expression = instant or sql_name(column.name)
        selected.append(expression if expression == name else f"{expression} AS {sql_name(name)}")
        doc = f"TODO: what this is, and its unit. (Column {column.name} of {request.table}, {column.arrow_type}.)"
        required = column in (key, event_time) or not column.nullable
        fields.append(
            {"name": name, "type": avro, "doc": doc} if required else nullable_field(name, avro, doc)
        )
    contract = {
        "type": "record",
        "name": record_name(request.name),
        "namespace": request.domain,
        "doc": f"TODO: what happened, in one sentence, and how often. (Drafted from the table {request.table}.)",
        "fields": fields,
    }
    return Draft(
        _module(request, selected, names[key.name], names[event_time.name], event_time.name),
        _contract_text(contract),
        _assumptions(key, event_time),
        tuple(left_out),
    )


def _field_names(columns: Sequence[Column]) -> dict[str, str]:
    """The field of each column: its name where Avro takes it; those that would become the same are numbered."""
    found = {column.name: column.name for column in columns if legal_name(column.name) == column.name}
    for column in columns:
        if column.name not in found:
            legal = legal_name(column.name)
            numbered = (f"{legal}_{number}" for number in count(2))
            found[column.name] = next(name for name in chain([legal], numbered) if name not in found.values())
    return found


def _assumptions(key: Column, event_time: Column) -> tuple[str, ...]:
    found = []
    if pa.types.is_date(event_time.arrow_type):
        found.append(f"{event_time.name} is a date: each event is taken to happen at its midnight in UTC")
    elif event_time.arrow_type.tz is None:
        found.append(f"{event_time.name} carries no time zone: it is taken to be UTC")
    if key.nullable:
        found.append(f"{key.name} may be null in the table and not in an event: such a row is a dead letter")
    if event_time.nullable:
        found.append(
            f"{event_time.name} may be null in the table: such a row belongs to no window, and becomes no event"
        )
    return tuple(found)


def _left_out(column: Column) -> str:
    if column.instead is None:
        return f"{column.name} ({column.arrow_type}): Avro has no such type; cast it in the SQL"
    # Its Arrow type is opaque, under the name that its warehouse gives it.
    return f"{column.name} ({column.arrow_type.type_name}): cannot be read exactly; to have it, write {column.instead}"


def _instant(column: Column) -> str:
    """SQL of the event time as an instant."""
    quoted = sql_name(column.name)
    if pa.types.is_date(column.arrow_type):
        return f"CAST({quoted} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    return quoted if column.arrow_type.tz else f"{quoted} AT TIME ZONE 'UTC'"


def _instant_avro(column: Column) -> dict[str, str]:
    unit = "micros" if pa.types.is_date(column.arrow_type) or not column.arrow_type.tz else None
    unit = unit or {"s": "millis", "ms": "millis"}.get(column.arrow_type.unit, "micros")
    return {"type": "long", "logicalType": f"timestamp-{unit}"}


def window_query(table: str, event_time: Column) -> str:
    """The window of a drafted event over its table: the same condition as in its module."""
    instant = sql_name(event_time.name)
    source = ".".join(sql_name(part) for part in table.split("."))
    return f"SELECT {instant} FROM {source} WHERE {instant} >= :window_start AND {instant} < :window_end"


def _module(request: Request, selected: list[str], key: str, event_time: str, time_column: str) -> str:
    select = ",\n            ".join(selected)
    # The bare column: every session stands in UTC, and around it no index would be of use.
    instant = sql_name(time_column)
    table = ".".join(sql_name(part) for part in request.table.split("."))
    source = f"""
        SELECT
            {select}
        FROM {table}
        WHERE {instant} >= :window_start AND {instant} < :window_end
    """
    arguments = {
        "topic": f"{request.domain}.{request.name}".replace("_", "-") + ".v1",
        "key": key,
        "event_time": event_time,
        "owner": request.owner,
        **({} if request.warehouse == "default" else {"warehouse": request.warehouse}),
        "source": source,
    }
    written = {name: block(text) if name == "source" else literal(text) for name, text in arguments.items()}
    head = block(
        f"""TODO: what happened, in one sentence.

One event per row of the table {request.table}. TODO: say when there is no event, and what a consumer must know.
"""
    )
    lines = [f"    {name}={text}," for name, text in written.items()]
    lines.insert(3, f"    windows={request.cadence}({literal(request.start)}),")
    declared = "\n".join(lines)
    module = f'''{head}

import pandas as pd

from pipelines import {request.cadence}, event


@event(
{declared}
)
def {request.name}(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows as the warehouse gives them."""
    return rows
'''
    require_declaration(
        module, name=request.name, cadence=request.cadence, arguments=arguments, start=request.start
    )
    return module


def _contract_text(contract: dict[str, Any]) -> str:
    """One field a line: a reviewer reads a contract as a list of fields."""
    fields = ",\n".join(f"    {json.dumps(field, ensure_ascii=False)}" for field in contract["fields"])
    head = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in contract.items()
        if name != "fields"
    )
    return f'{{\n{head},\n  "fields": [\n{fields}\n  ]\n}}\n'


def _named(columns: Sequence[Column], name: str, table: str) -> Column:
    for column in columns:
        if column.name == name:
            return column
    names = [column.name for column in columns]
    raise SluiceError(
        f"table {table}", f"has no column {name!r}.{did_you_mean(name, names)}", allowed=", ".join(names)
    )
