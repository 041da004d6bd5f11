"""One record at a time by fastavro: the plain way, for every contract, and the yardstick of the other."""

import uuid
from collections.abc import Sequence
from decimal import Decimal
from io import BytesIO
from itertools import islice
from typing import Any

import fastavro
import pyarrow as pa

from pipelines.encoding.columns import Column
from pipelines.encoding.errors import EncodingError
from pipelines.encoding.nodes import Node, plain_schema

STRATEGY = "fastavro"


class RowwiseWriter:
    """Writes a group of fields as one Avro record body without its frame."""

    strategy = STRATEGY

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._names = [node.name for node in nodes]
        self._schema = fastavro.parse_schema(plain_schema(nodes))

    def bodies(self, columns: Sequence[Column], length: int, prefix: bytes = b"") -> pa.LargeBinaryArray:
        """`length` bodies, each after `prefix`."""
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


def plain_values(column: Column) -> list[Any]:
    """The values as fastavro takes them for a schema without logical types: ints, bytes, str, list, dict."""
    node, valid = column.node, column.valid
    if node.kind == "record":
        names = [child.name for child in node.children]
        children = [plain_values(child) for child in column.children]
        rows = zip(*children, strict=True) if children else [()] * column.length
        values: list[Any] = [dict(zip(names, row, strict=True)) for row in rows]
    elif node.kind == "array":
        items = iter(plain_values(column.children[0]))
        values = [list(islice(items, count)) for count in _counts(column)]
    elif node.kind == "map":
        keys, mapped = (plain_values(child) for child in column.children)
        entries = zip(keys, mapped, strict=True)
        values = [dict(islice(entries, count)) for count in _counts(column)]
    else:
        values = _leaf(column)
    if valid is None:
        return values
    return [value if ok else None for value, ok in zip(values, valid.tolist(), strict=True)]


def _leaf(column: Column) -> list[Any]:
    node, array = column.node, column.values
    assert array is not None
    if node.kind in ("int", "long"):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    values: list[Any] = array.to_pylist()
    if node.avro.logical == "decimal":
        return [None if value is None else _decimal_bytes(value, node) for value in values]
    if node.avro.logical == "uuid" and node.kind == "fixed":
        valid = [True] * len(values) if column.valid is None else column.valid.tolist()
        return [uuid.UUID(value).bytes if ok else None for value, ok in zip(values, valid, strict=True)]
    return values


def _decimal_bytes(value: Decimal, node: Node) -> bytes:
    """Avro 1.12, "Decimal": big-endian two's complement of the unscaled value; on `bytes` the shortest, as
    Java's `BigInteger.toByteArray` gives it (fastavro's own writer gives -128 a byte more)."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    unscaled: int = int("".join(map(str, digits))) * 10 ** (exponent + node.avro.scale) * (-1 if sign else 1)
    size: int = node.avro.size or ((unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1)
    return unscaled.to_bytes(size, "big", signed=True)


def _counts(column: Column) -> list[int]:
    assert column.counts is not None
    counts: list[int] = column.counts.tolist()
    return counts
