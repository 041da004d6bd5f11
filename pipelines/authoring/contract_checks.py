"""Whether a declaration and its contract fit: the key, the event time, the id, the docs, the columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipelines.authoring.arguments import ArgumentMistake
from pipelines.authoring.problems import listing
from resources.errors import did_you_mean

if TYPE_CHECKING:
    from pipelines.authoring.declaration import EventDeclaration
    from pipelines.authoring.source_sql import SourceQuery
    from pipelines.contract import Contract, ContractField
    from pipelines.contract.avro_type import AvroField, AvroType

_KEY_KINDS = ("string", "int", "long", "bytes", "fixed", "enum")
_EVENT_TIMES = ("timestamp-millis", "timestamp-micros")
_INSTANT = '{"type": "long", "logicalType": "timestamp-micros"}'


def field_mistakes(declaration: EventDeclaration, contract: Contract) -> Iterator[ArgumentMistake]:
    """What keeps the declared fields from doing their work."""
    arguments = declaration.arguments
    fields = {field.name: field for field in contract.fields}
    named = [("key", arguments.key), ("event_time", arguments.event_time), ("event_id", arguments.event_id)]
    for argument, name in named:
        if name is None or not declaration.sound(argument):
            continue
        field = fields.get(name)
        if field is None:
            near = did_you_mean(name, fields).strip()
            yield ArgumentMistake(
                argument,
                f"{argument}={name!r} is not a field of its contract",
                f"the fields of {contract.path.name}: {listing(fields)}",
                near or f"name one of these, or add {name!r} to the contract",
            )
        elif argument == "key":
            yield from _wrong_key(field, contract)
        elif argument == "event_time":
            yield from _wrong_event_time(field, contract)
        else:
            yield from _wrong_event_id(field, contract)


def _wrong_key(field: ContractField, contract: Contract) -> Iterator[ArgumentMistake]:
    kind = field.type
    allowed = "a non-null string, int, long, bytes, fixed, enum or uuid"
    if kind.kind not in _KEY_KINDS or kind.logical not in (None, "uuid"):
        step = "name another field, or add one to the contract that holds the key as text"
        yield ArgumentMistake("key", f"key={field.name!r} is a {kind} in its contract", allowed, step)
    elif field.nullable:
        yield ArgumentMistake(
            "key", f"key={field.name!r} may be null in its contract", allowed, _not_null(field, contract)
        )


def _wrong_event_time(field: ContractField, contract: Contract) -> Iterator[ArgumentMistake]:
    logical = field.type.logical
    if logical not in _EVENT_TIMES:
        reason = {
            "date": ", a day and no instant",
            "local-timestamp-millis": ", which names no instant without a zone",
            "local-timestamp-micros": ", which names no instant without a zone",
            "local-timestamp-nanos": ", which names no instant without a zone",
        }.get(logical or "", "")
        yield ArgumentMistake(
            "event_time",
            f"event_time={field.name!r} is a {field.type} in its contract{reason}",
            "a non-null timestamp-millis or timestamp-micros",
            f'in {contract.path.name}, give {field.name!r} "type": {_INSTANT}',
        )
    elif field.nullable:
        yield ArgumentMistake(
            "event_time",
            f"event_time={field.name!r} may be null in its contract",
            "a non-null timestamp-millis or timestamp-micros",
            _not_null(field, contract),
        )


def _wrong_event_id(field: ContractField, contract: Contract) -> Iterator[ArgumentMistake]:
    kind = field.type
    allowed = "a non-null string or uuid"
    if not (kind.logical == "uuid" or (kind.kind == "string" and kind.logical is None)):
        step = f'in {contract.path.name}, give {field.name!r} "type": {{"type": "string", "logicalType": "uuid"}}'
        yield ArgumentMistake(
            "event_id", f"event_id={field.name!r} is a {kind} in its contract", allowed, step
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
    """Columns that cannot become the contract's fields. With a transform between them only the id is looked at."""
    if query.columns is None or not declaration.sound("event_id", "source"):
        return
    event_id = declaration.arguments.event_id
    given = {column.lower() for column in query.columns if column}
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
    for place, column in enumerate(query.columns, 1):
        if not column:
            yield ArgumentMistake(
                "source",
                f"column {place} of the SQL has no name of its own",
                f"the fields of {contract.path.name}: {listing(wanted)}",
                "name it: ... AS field",
            )
    known = {name.lower() for name in wanted}
    missing = [name for name in wanted if name.lower() not in given]
    extra = [name for name in query.columns if name and name.lower() not in known and name != event_id]
    for name in extra:
        near = did_you_mean(name, missing).strip()
        yield ArgumentMistake(
            "source",
            f"the SQL gives {name!r}, which is not a field of its contract, and the transform returns rows as they are",
            f"the fields of {contract.path.name}: {listing(wanted)}",
            f"{near} Write: {name} AS {near.split(chr(39))[1]}"
            if near
            else f"take {name!r} out, or add it to the contract",
        )
    close = {did_you_mean(name, missing) for name in extra}
    for name in missing:
        if not any(f"'{name}'" in hint for hint in close):
            yield ArgumentMistake(
                "source",
                f"the SQL does not give {name!r}, a field of its contract, and the transform returns rows as they are",
                f"all fields of {contract.path.name}: {listing(wanted)}",
                f"select it: ... AS {name}",
            )
