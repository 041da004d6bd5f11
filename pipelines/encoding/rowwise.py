"""Encodes one record at a time with fastavro: the reference for the compiled way, and the only
way without the compiled library.

Refuses what the compiled way refuses, with the same errors.
"""

from collections.abc import Sequence
from io import BytesIO
from itertools import islice
from typing import TypeAlias, cast

import fastavro
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.encoding.columns.leaves import Column
from pipelines.encoding.columns.refusals import (
    decimal_bytes,
    not_36_characters,
    not_hexadecimal,
    not_utf8,
    too_many_digits,
)
from pipelines.encoding.columns.symbols import symbol_places
from pipelines.encoding.errors import EncodingError
from pipelines.encoding.nodes import Node, plain_schema

STRATEGY = "fastavro"

Datum: TypeAlias = "bool | int | float | bytes | str | list[Datum] | dict[str, Datum] | None"
"""A value in the form that fastavro needs for a schema without logical types."""

_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")


class RowwiseWriter:
    """Writes a group of fields as an Avro record body, without a frame."""

    strategy = STRATEGY

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._names = [node.name for node in nodes]
        self._schema = fastavro.parse_schema(plain_schema(nodes))

    def bodies(self, columns: Sequence[Column], length: int, prefix: bytes = b"") -> pa.LargeBinaryArray:
        """`length` bodies, each with `prefix` before it."""
        values = [plain_values(column) for column in columns]
        bodies: list[bytes] = []
        for row in zip(*values, strict=True) if values else [()] * length:
            out = BytesIO()
            out.write(prefix)
            try:
                fastavro.schemaless_writer(
                    out, self._schema, dict(zip(self._names, row, strict=True)), disable_tuple_notation=True
                )
            except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
                raise EncodingError(f"row {len(bodies)} of the batch", str(error)) from error
            bodies.append(out.getvalue())
        return pa.array(bodies, pa.large_binary())


def plain_values(column: Column) -> list[Datum]:
    """The values of a column; None for a null."""
    node, valid = column.node, column.valid
    if node.kind == "record":
        names = [child.name for child in node.children]
        children = [plain_values(child) for child in column.children]
        rows = zip(*children, strict=True) if children else [()] * column.length
        values: list[Datum] = [dict(zip(names, row, strict=True)) for row in rows]
    elif node.kind == "array":
        items = iter(plain_values(column.children[0]))
        values = [list(islice(items, count)) for count in _counts(column)]
    elif node.kind == "map":
        keys, mapped = (plain_values(child) for child in column.children)
        # Avro has only text as keys.
        entries = zip(cast("list[str]", keys), mapped, strict=True)
        values = [dict(islice(entries, count)) for count in _counts(column)]
    else:
        values = _leaf(column)
    if valid is None:
        return values
    return [value if ok else None for value, ok in zip(values, valid.tolist(), strict=True)]


def _leaf(column: Column) -> list[Datum]:
    node, array = column.node, column.leaf
    if node.kind in ("int", "long"):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    if node.kind == "enum":
        symbol_places(column)
    is_uuid = node.avro.logical == "uuid" and node.kind == "fixed"
    is_decimal = node.avro.logical == "decimal"
    if is_decimal:
        array = array.view(pa.binary(array.type.byte_width))
    if is_uuid:
        array = array.cast(pa.binary())
    if column.valid is not None:
        # Values that are hidden under a null record are not checked.
        array = pc.if_else(pa.array(column.valid), array, pa.scalar(None, array.type))
    try:
        values: list[Datum] = array.to_pylist()
    except UnicodeDecodeError:
        raise not_utf8(node) from None
    # Both are arrays of bytes here.
    if is_decimal:
        return [
            None if value is None else _decimal_bytes(value, node)
            for value in cast("list[bytes | None]", values)
        ]
    if is_uuid:
        return [
            None if value is None else _uuid_bytes(value, node)
            for value in cast("list[bytes | None]", values)
        ]
    return values


def _decimal_bytes(word: bytes, node: Node) -> bytes:
    """Avro 1.12, "Decimal": big-endian two's complement of the unscaled value. On `bytes` it is the shortest
    form, as from Java's `BigInteger.toByteArray` (fastavro's own writer uses one byte more for -128)."""
    unscaled = int.from_bytes(word, "little", signed=True)
    needed = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    if needed > decimal_bytes(node):
        raise too_many_digits(node)
    return unscaled.to_bytes(node.avro.size or needed, "big", signed=True)


def _uuid_bytes(text: bytes, node: Node) -> bytes:
    if len(text) != 36:
        raise not_36_characters(node)
    digits = text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
    if not _HEXADECIMAL.issuperset(digits):
        raise not_hexadecimal(node)
    return bytes.fromhex(digits.decode())


def _counts(column: Column) -> list[int]:
    assert column.counts is not None
    counts: list[int] = column.counts.tolist()
    return counts
