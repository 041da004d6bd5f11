"""The bytes of a message key."""

import pyarrow as pa

from pipelines.encoding.errors import EncodingError
from pipelines.encoding.nodes import Node


def check_key(node: Node, arrow_type: pa.DataType, where: str) -> None:
    """Raises `EncodingError` unless a field of this type can be a key."""
    text = pa.types.is_string(arrow_type)
    whole = pa.types.is_integer(arrow_type)
    raw = node.kind in ("bytes", "fixed") and node.avro.logical is None
    if node.avro.nullable or not (text or whole or raw):
        raise EncodingError(
            where,
            f"key field {node.name!r} is {node.avro}",
            allowed="a required string, enum, uuid, int, long, bytes or fixed",
        )


def key_bytes(array: pa.Array) -> pa.BinaryArray:
    """Text as UTF-8, ints as decimal ASCII (`-12`), bytes as they are."""
    if pa.types.is_integer(array.type):
        array = array.cast(pa.string())
    return array.cast(pa.binary())
