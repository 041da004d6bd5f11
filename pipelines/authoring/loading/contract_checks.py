"""Whether a declaration and its contract fit: the key, the event time, the id, the docs, the columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.authoring.arguments import ArgumentMistake
from pipelines.authoring.loading.column_difference import difference
from pipelines.authoring.problems import listing, near_miss

if TYPE_CHECKING:
    from pipelines.authoring.declaration import EventDeclaration
    from pipelines.authoring.sql.source_sql import SourceQuery
    from pipelines.contract import Contract, ContractField
    from pipelines.contract.avro_type import AvroField, AvroType

_KEY_KINDS = ("string", "int", "long", "bytes", "fixed", "enum")
_EVENT_TIMES = ("timestamp-millis", "timestamp-micros")
_UUID = '{"type": "string", "logicalType": "uuid"}'
_INSTANT = '{"type": "long", "logicalType": "timestamp-micros"}'


def field_mistakes(declaration: EventDeclaration, contract: Contract) -> Iterator[ArgumentMistake]:
    """Why the declared fields cannot be used as declared."""
    arguments = declaration.arguments
    fields = {field.name: field for field in contract.fields}
    named = [("key", arguments.key), ("event_time", arguments.event_time), ("event_id", arguments.event_id)]
    for argument, name in named:
        if name is None or not declaration.sound(argument):
            continue
        field = fields.get(name)
        if field is None:
            yield ArgumentMistake(
                argument,
                f"{argument}={name!r} is not a field of its contract",
                f"the fields of {contract.path.name}: {listing(fields)}",
                near_miss(name, fields, f"{argument}={{!r}}")
                or f"name one of these, or add {name!r} to the contract",
            )
        elif argument == "key":
            yield from _wrong_key(field, contract)
        elif argument == "event_time":
            yield from _wrong_event_time(field, contract)
        else:
            yield from _wrong_event_id(field, contract)


def _wrong_key(field: ContractField, contract: Contract) -> Iterator[ArgumentMistake]:
    allowed = "a non-null string, int, long, bytes, fixed, enum or uuid"
    if not _is_key(field):
        candidates = [other.name for other in contract.fields if _is_key(other) and not other.nullable]
        yield ArgumentMistake(
            "key",
            f"key={field.name!r} has the type {field.type} in its contract",
            allowed,
            f"of the contract's fields these can be a key: {listing(candidates)}"
            if candidates
            else "add a field to the contract that holds the key as text",
        )
    elif field.nullable:
        step = _not_null(field, contract)
        yield ArgumentMistake("key", f"key={field.name!r} may be null in its contract", allowed, step)


def _is_key(field: ContractField) -> bool:
    return field.type.kind in _KEY_KINDS and field.type.logical in (None, "uuid")


def _wrong_event_time(field: ContractField, contract: Contract) -> Iterator[ArgumentMistake]:
    logical = field.type.logical
    allowed = "a non-null timestamp-millis or timestamp-micros"
    if logical not in _EVENT_TIMES:
        reason = ""
        if logical == "date":
            reason = ", a day and not an instant"
        elif (logical or "").startswith("local-"):
            reason = ", which is no instant without a time zone"
        candidates = [
            other.name
            for other in contract.fields
            if other.type.logical in _EVENT_TIMES and not other.nullable
        ]
        yield ArgumentMistake(
            "event_time",
            f"event_time={field.name!r} has the type {field.type} in its contract{reason}",
            allowed,
            f"of the contract's fields these can be the event time: {listing(candidates)}"
            if candidates
            else f'in {contract.path.name}, give {field.name!r} "type": {_INSTANT}',
        )
    elif field.nullable:
        step = _not_null(field, contract)
        yield ArgumentMistake(
            "event_time", f"event_time={field.name!r} may be null in its contract", allowed, step
        )


def _wrong_event_id(field: ContractField, contract: Contract) -> Iterator[ArgumentMistake]:
    kind = field.type
    allowed = "a non-null string or uuid"
    if not (kind.logical == "uuid" or (kind.kind == "string" and kind.logical is None)):
        step = f'in {contract.path.name}, give {field.name!r} "type": {_UUID}'
        yield ArgumentMistake(
            "event_id", f"event_id={field.name!r} has the type {kind} in its contract", allowed, step
        )
    elif field.nullable:
        step = _not_null(field, contract)
        yield ArgumentMistake(
            "event_id", f"event_id={field.name!r} may be null in its contract", allowed, step
        )


def _not_null(field: ContractField, contract: Contract) -> str:
    return f'in {contract.path.name}, take "null" out of the type of {field.name!r}'


def undocumented(contract: Contract) -> list[str]:
    """The paths (`legs[].fuel`) of the fields, at any depth, that have no doc."""
    return [path for field in contract.type.fields for path in _undocumented(field, "")]


def _undocumented(field: AvroField, prefix: str) -> Iterator[str]:
    path = f"{prefix}{field.name}"
    if not (field.doc or "").strip():
        yield path
    inner: AvroType | None = field.type
    while inner is not None:
        for child in inner.fields:
            yield from _undocumented(child, f"{path}.")
        if inner.items is not None:
            path += "[]" if inner.kind == "array" else "{}"
        inner = inner.items


def column_mistakes(
    declaration: EventDeclaration, contract: Contract, query: SourceQuery, *, identity: bool
) -> Iterator[ArgumentMistake]:
    """Columns that cannot become the contract's fields. If there is a transform, only the id is checked."""
    if query.columns is None or not declaration.sound("event_id", "source"):
        return
    event_id = declaration.arguments.event_id
    named = [column for column in query.columns if column]
    # Warehouses differ in the case of a column's name. The exact spelling is checked when the rows are read.
    given = {column.lower() for column in named}
    if event_id is not None and event_id.lower() in given:
        yield ArgumentMistake(
            "source",
            f"the SQL gives {event_id!r}, which Sluice fills itself (event_id={event_id!r})",
            "the other fields of the contract",
            f"take {event_id!r} out of the SQL, or take event_id out of @event",
        )
    if not identity:
        return
    wanted = [field.name for field in contract.fields if field.name != event_id]
    missing = [name for name in wanted if name.lower() not in given]
    known = {name.lower() for name in wanted}
    extra = [name for name in named if name.lower() not in known and name != event_id]
    unnamed = [place for place, column in enumerate(query.columns, 1) if not column]
    as_they_are = "and `return rows` passes the rows on as they are"
    fields = f"the fields of {contract.path.name}: {listing(wanted)}"
    if len(missing) + len(extra) + len(unnamed) > 1 and not (len(unnamed) == len(missing) == 1 and not extra):
        told, step = difference(missing, extra, of=len(wanted))
        if unnamed:
            places = f"without a name of their own: column {listing(unnamed)}"
            told = f"{told}; {places}" if told else places
            step = "; ".join(filter(None, (step, "name each column: ... AS name")))
        problem = f"the SQL and the contract differ, {as_they_are}: {told}"
        yield ArgumentMistake("source", problem, fields, step)
        return
    for place in unnamed:
        near = missing[0] if len(missing) == len(unnamed) == 1 else "name"
        yield ArgumentMistake(
            "source",
            f"column {place} of the SQL has no name of its own, {as_they_are}",
            fields,
            f"name it: ... AS {near}",
        )
        missing = [] if near != "name" else missing
    for name in extra:
        problem = f"the SQL gives {name!r}, which is not a field of its contract, {as_they_are}"
        yield ArgumentMistake("source", problem, fields, f"take {name!r} out, or add it to the contract")
    for name in missing:
        problem = f"the SQL does not give {name!r}, a field of its contract, {as_they_are}"
        yield ArgumentMistake("source", problem, fields, f"select it: ... AS {name}")
