"""What both ways of encoding say of a value that has no bytes."""

from pipelines.encoding.errors import EncodingError
from pipelines.encoding.nodes import Node


def decimal_bytes(node: Node) -> int:
    """Bytes of two's complement that the precision can need. A decimal that needs more is refused."""
    most: int = 10**node.avro.precision - 1
    return most.bit_length() // 8 + 1


def too_many_digits(node: Node) -> EncodingError:
    return EncodingError(node.path, f"a decimal of more than {node.avro.precision} digits")


def not_36_characters(node: Node) -> EncodingError:
    return EncodingError(node.path, "a uuid that is not 36 characters", allowed="8-4-4-4-12 digits")


def not_hexadecimal(node: Node) -> EncodingError:
    return EncodingError(node.path, "a uuid with other than hexadecimal digits")


def not_utf8(node: Node) -> EncodingError:
    return EncodingError(node.path, "text that is not UTF-8")
