"""The bytes of a message key, from the values of a field and from the text that a person types."""

import re
from typing import NamedTuple

import pyarrow as pa

from pipelines.contract.avro_type import AvroType
from pipelines.encoding.errors import EncodingError
from pipelines.encoding.nodes import Node
from resources.errors import did_you_mean

_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,20})")
_HEXADECIMAL = re.compile(r"(?:0x|\\x)?((?:[0-9a-f]{2})*)", re.IGNORECASE)
_UUID = re.compile(
    r"(?:urn:uuid:)?(\{)?([0-9a-f]{8})(-?)([0-9a-f]{4})\3([0-9a-f]{4})\3([0-9a-f]{4})\3([0-9a-f]{12})(?(1)\})",
    re.IGNORECASE,
)
_BITS = {"int": 32, "long": 64}


class NotAKey(NamedTuple):
    """The text that a person typed cannot be a key of the field's type; `allowed` says what can."""

    allowed: str


def check_key(node: Node, arrow_type: pa.DataType, where: str) -> None:
    """Raise `EncodingError` if a field of this type cannot be a key."""
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
    """Text as UTF-8, ints as decimal ASCII (`-12`), bytes unchanged."""
    if pa.types.is_integer(array.type):
        array = array.cast(pa.string())
    return array.cast(pa.binary())


def typed_key(text: str, avro: AvroType) -> bytes | NotAKey:
    """The bytes of the key that a person means by `text`, for a key field of the type `avro`.

    Text is taken character by character, with blanks and capitals. If a value can be written in
    several ways (an int with leading zeros, a uuid in capitals, bytes in hexadecimal with or without
    0x), each of them means the same key.
    """
    match avro.kind, avro.logical:
        case "int" | "long", _:
            return _typed_integer(text, avro)
        # Also for a uuid on `fixed`: the key is the uuid's text.
        case _, "uuid":
            found = _UUID.fullmatch(text.strip())
            if found is None:
                return NotAKey(
                    "a uuid of 32 hexadecimal digits, such as 9f2b3c4d-0000-4000-8000-00000000000a"
                )
            return "-".join(found.group(2, 4, 5, 6, 7)).lower().encode()
        case "bytes" | "fixed", _:
            return _typed_bytes(text, avro)
        case "enum", _:
            if text in avro.symbols:
                return text.encode()
            return NotAKey(f"one of {', '.join(avro.symbols)}.{did_you_mean(text, avro.symbols)}")
    try:
        return text.encode()
    except UnicodeEncodeError:
        return NotAKey("text that can be written as UTF-8")


def _typed_integer(text: str, avro: AvroType) -> bytes | NotAKey:
    bits = _BITS[avro.kind]
    found = _INTEGER.fullmatch(text.strip())
    number = int("".join(found.groups())) if found else None
    if number is None or not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
        return NotAKey(f"a whole number of {bits} bits, such as 42")
    return str(number).encode()


def _typed_bytes(text: str, avro: AvroType) -> bytes | NotAKey:
    found = _HEXADECIMAL.fullmatch("".join(text.split()))
    value = bytes.fromhex(found[1]) if found else None
    if value is None or (avro.kind == "fixed" and len(value) != avro.size):
        length = f" of {avro.size} bytes" if avro.kind == "fixed" else ""
        return NotAKey(f"hexadecimal digits{length}, two for each byte, as in 0x00ff")
    return value
