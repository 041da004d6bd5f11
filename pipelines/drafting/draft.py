"""The first draft of an event from a table's columns: one module and one contract, which a person then edits."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipelines.authoring.cadence import Cadence
from pipelines.drafting.avro_types import avro_of, enum_of, free, legal_name, nullable_field, record_name
from pipelines.drafting.candidates import Choice
from pipelines.drafting.python_literals import block, literal, require_declaration
from resources.security.printable import in_one_line
from resources.warehouse import Column, SourceTable, sql_name

_WIDTH = 110
_MOST_LABELS = 30


@dataclass(frozen=True)
class Draft:
    """The two files' texts; `choices`: what was assumed for the author; `questions`: what only a person can
    decide, each of which is in both files; `left_out`: columns without a field, each with the reason."""

    module: str
    contract: str
    choices: tuple[str, ...]
    questions: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What the author requested."""

    domain: str
    name: str
    cadence: Cadence
    start: str
    warehouse: str
    owner: str


def draft(request: Request, table: SourceTable, key: Choice, event_time: Choice) -> Draft:
    """Module and contract for all columns that Avro can hold."""
    selected, fields, left_out = [], [], []
    names = _field_names(table.columns)
    types = {record_name(request.name)}
    open_questions = {one.column.name: one.question for one in (event_time, key) if one.question}
    for column in table.columns:
        name = names[column.name]
        is_time = column.name == event_time.column.name
        type_name = f"{request.name}_{name}"
        avro = (
            _instant_avro(column)
            if is_time
            else enum_of(column.labels, type_name, types) or avro_of(column.arrow_type, type_name, types)
        )
        if avro is None:
            left_out.append(_left_out(column))
            continue
        expression = _instant(column) if is_time else sql_name(column.name)
        selected.append(expression if expression == name else f"{expression} AS {sql_name(name)}")
        doc = _doc(column, table, open_questions.get(column.name))
        required = is_time or column.name == key.column.name or not column.nullable
        fields.append(
            {"name": name, "type": avro, "doc": doc} if required else nullable_field(name, avro, doc)
        )
    what = _plain(table.comment)
    contract = {
        "type": "record",
        "name": record_name(request.name),
        "namespace": request.domain,
        "doc": what
        or in_one_line(
            f"TODO: what happened, in one sentence, and how often. (Drafted from the {table.kind} {table.sql}.)"
        ),
        "fields": fields,
    }
    questions = tuple(open_questions.values())
    names_of = names[key.column.name], names[event_time.column.name]
    return Draft(
        _module(request, table, selected, names_of, event_time.column, questions),
        _contract_text(contract),
        _assumptions(key.column, event_time.column),
        questions,
        tuple(left_out),
    )


def _field_names(columns: Sequence[Column]) -> dict[str, str]:
    """The field of each column: its name if Avro allows it. Names that would be the same, also in a different
    case, get a number."""
    found: dict[str, str] = {}
    for legal in (True, False):
        for column in columns:
            if (legal_name(column.name) == column.name) is legal:
                found[column.name] = free(legal_name(column.name), found.values())
    return found


def _doc(column: Column, table: SourceTable, question: str | None) -> str:
    doc = _plain(column.comment)
    refers = [
        f"{key.table}.{referred}"
        for key in table.foreign_keys
        for name, referred in zip(key.columns, key.referred, strict=True)
        if name == column.name
    ]
    if not doc:
        facts = f"Column {column.name} of {table.sql}, {'enum' if column.labels else column.arrow_type}"
        facts += f"; refers to {', '.join(refers)}" if refers else ""
        doc = f"TODO: what this is, and its unit. ({facts}.)"
    if column.labels and enum_of(column.labels, "", set()) is None:
        shown = ", ".join(map(repr, column.labels[:_MOST_LABELS]))
        more = f", and {len(column.labels) - _MOST_LABELS} more" if len(column.labels) > _MOST_LABELS else ""
        doc += f" One of {shown}{more}: text, since not all of these can be symbols of an Avro enum."
    return in_one_line(f"{doc} TODO: {question}." if question else doc)


def _plain(comment: str | None) -> str:
    """A comment on one line; empty if it says nothing."""
    return in_one_line(" ".join((comment or "").split()))


def _assumptions(key: Column, event_time: Column) -> tuple[str, ...]:
    found = []
    if pa.types.is_date(event_time.arrow_type):
        found.append(f"{event_time.name} is a date: each event is taken to happen at its midnight in UTC")
    elif event_time.arrow_type.tz is None:
        found.append(f"{event_time.name} carries no time zone: it is taken to be UTC")
    if _has_nanoseconds(event_time):
        found.append(f"{event_time.name} has nanoseconds, and the event time is rounded to microseconds")
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
    # Its Arrow type is opaque, with the name that its warehouse gives it.
    return f"{column.name} ({column.arrow_type.type_name}): cannot be read exactly; to have it, write {column.instead}"


def _has_nanoseconds(column: Column) -> bool:
    return pa.types.is_timestamp(column.arrow_type) and bool(column.arrow_type.unit == "ns")


def _compared(column: Column) -> str:
    """SQL of the event time that can be compared with a window's bounds: the plain column, because the time
    zone of every session is UTC, and an expression around the column would make its index useless. DuckDB
    cannot compare nanoseconds with other times, so these are cast."""
    quoted = sql_name(column.name)
    if not _has_nanoseconds(column):
        return quoted
    return f"CAST({quoted} AS {'TIMESTAMPTZ' if column.arrow_type.tz else 'TIMESTAMP'})"


def _instant(column: Column) -> str:
    """SQL of the event time as an instant."""
    if pa.types.is_date(column.arrow_type):
        return f"CAST({sql_name(column.name)} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    return _compared(column) if column.arrow_type.tz else f"{_compared(column)} AT TIME ZONE 'UTC'"


def _instant_avro(column: Column) -> dict[str, str]:
    unit = "micros" if pa.types.is_date(column.arrow_type) or not column.arrow_type.tz else None
    unit = unit or {"s": "millis", "ms": "millis"}.get(column.arrow_type.unit, "micros")
    return {"type": "long", "logicalType": f"timestamp-{unit}"}


def window_query(table: str, event_time: Column) -> str:
    """The window condition of a drafted event on its table (`table` is SQL):
    the same condition as in its module."""
    instant = _compared(event_time)
    return f"SELECT {instant} AS moment FROM {table} WHERE {instant} >= :window_start AND {instant} < :window_end"


def _module(
    request: Request,
    table: SourceTable,
    selected: list[str],
    key_and_time: tuple[str, str],
    time_column: Column,
    questions: Sequence[str],
) -> str:
    select = ",\n            ".join(selected)
    instant = _compared(time_column)
    source = f"""
        SELECT
            {select}
        FROM {table.sql}
        WHERE {instant} >= :window_start AND {instant} < :window_end
    """
    key, event_time = key_and_time
    arguments = {
        "topic": f"{request.domain}.{request.name}".replace("_", "-") + ".v1",
        "key": key,
        "event_time": event_time,
        "owner": request.owner,
        **({} if request.warehouse == "default" else {"warehouse": request.warehouse}),
        "source": source,
    }
    written = {name: block(text) if name == "source" else literal(text) for name, text in arguments.items()}
    paragraphs = [
        _plain(table.comment) or "TODO: what happened, in one sentence.",
        in_one_line(f"One event per row of the {table.kind} {table.sql}.")
        + " TODO: say when there is no event, and what a consumer must know.",
        *(in_one_line(f"TODO: {question}.") for question in questions),
    ]
    folded = [
        textwrap.fill(one, _WIDTH, break_long_words=False, break_on_hyphens=False) for one in paragraphs
    ]
    head = block("\n\n".join(folded) + "\n")
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
