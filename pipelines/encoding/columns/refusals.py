"""The errors of both ways of encoding for a value that cannot be encoded."""

from pipelines.encoding.errors import EncodingError
from pipelines.encoding.nodes import Node


def decimal_bytes(node: Node) -> int:
    """The most bytes of two's complement that the precision needs. A decimal that needs more is refused."""
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
