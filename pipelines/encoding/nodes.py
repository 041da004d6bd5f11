"""A contract's types with what the encoder needs in addition: paths for errors, branch bytes of unions."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.contract import AvroType
from resources.json_value import Json


@dataclass(frozen=True)
class Node:
    """The place of a value in a record: `name` inside its parent, `path` inside the record."""

    avro: AvroType
    name: str
    path: str

    @property
    def kind(self) -> str:
        return self.avro.kind

    @property
    def branch(self) -> bytes:
        """The bytes before a value. Avro 1.12, "Unions": the position in the union as a zig-zag int."""
        return b"" if self.avro.null_branch is None else bytes([2 * (1 - self.avro.null_branch)])

    @property
    def null_branch(self) -> bytes:
        """The bytes that mean null."""
        return b"" if self.avro.null_branch is None else bytes([2 * self.avro.null_branch])

    @property
    def children(self) -> tuple["Node", ...]:
        """A record's fields; an array's items; a map's keys and values."""
        match self.kind:
            case "record":
                return tuple(Node(f.type, f.name, f"{self.path}.{f.name}") for f in self.avro.fields)
            case "array":
                return (Node(self.avro.element, "item", f"{self.path}[]"),)
            case "map":
                keys = Node(AvroType("string"), "key", f"{self.path}{{key}}")
                return keys, Node(self.avro.element, "value", f"{self.path}{{}}")
        return ()


def field_nodes(record: AvroType) -> tuple[Node, ...]:
    return tuple(Node(f.type, f.name, f.name) for f in record.fields)


def plain_schema(nodes: Iterable[Node]) -> dict[str, Json]:
    """A record schema with these fields for fastavro, without logical types and with generated unique names.

    Without logical types, fastavro takes the underlying ints and bytes unchanged: nothing passes through
    Python's datetime (only microseconds and the years 1-9999) or a decimal context.
    """
    names = (f"n{number}" for number in range(1_000_000))

    def record(fields: Iterable[Node]) -> dict[str, Json]:
        listed: list[Json] = [{"name": child.name, "type": typed(child)} for child in fields]
        return {"type": "record", "name": next(names), "fields": listed}

    def typed(node: Node) -> Json:
        match node.kind:
            case "record":
                plain: Json = record(node.children)
            case "array":
                plain = {"type": "array", "items": typed(node.children[0])}
            case "map":
                plain = {"type": "map", "values": typed(node.children[1])}
            case "enum":
                plain = {"type": "enum", "name": next(names), "symbols": list(node.avro.symbols)}
            case "fixed":
                plain = {"type": "fixed", "name": next(names), "size": node.avro.size}
            case _:
                plain = node.kind
        if not node.avro.nullable:
            return plain
        return ["null", plain] if node.avro.null_branch == 0 else [plain, "null"]

    return record(nodes)
