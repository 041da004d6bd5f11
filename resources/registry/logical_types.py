"""Changes of meaning that no registry refuses: another logical type, or another scale, for the same bytes.

Avro's schema resolution only compares the bytes. A change from `timestamp-millis` to `timestamp-micros`, or
of a decimal's scale from 2 to 3, is compatible at every level. But a consumer that reads old records with the
new schema gets values that are wrong by a factor of a thousand or ten. (Avro 1.12, "Decimal": two decimals
match if their scales and precisions match. Here, a reader with a greater precision is accepted, because it
can hold every value; a smaller precision is not accepted.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from resources.registry.schemas import named_types, resolved

# Avro 1.12, "Logical Types": on other types they must be ignored. A logical type that is not
# listed here is accepted as is.
_BASES = {
    "date": ("int",),
    "time-millis": ("int",),
    "time-micros": ("long",),
    "decimal": ("bytes", "fixed"),
    "uuid": ("string", "fixed"),
    "duration": ("fixed",),
} | {
    f"{local}timestamp-{unit}": ("long",)
    for local in ("", "local-")
    for unit in ("millis", "micros", "nanos")
}
# Reader -> writers whose bytes the reader accepts (Avro 1.12, "Schema Resolution").
_PROMOTED = {
    "long": ("int",),
    "float": ("int", "long"),
    "double": ("int", "long", "float"),
    "string": ("bytes",),
    "bytes": ("string",),
}


@dataclass(frozen=True)
class Misreading:
    """In the reader's field `path`, a value written as `written` is read as `read`."""

    path: str
    written: str
    read: str


def misreadings(reader: Any, writer: Any) -> list[Misreading]:
    """The fields in which `reader` gets other values than `writer` wrote; both are trees of `parsed_schema`.

    A field counts only if both schemas name a logical type, and the two differ.
    """
    comparison = _Comparison(named_types(reader), named_types(writer))
    return list(dict.fromkeys(comparison.compare(reader, writer, "")))


class _Comparison:
    def __init__(self, reader_names: dict[str, Any], writer_names: dict[str, Any]) -> None:
        self._reader_names, self._writer_names = reader_names, writer_names
        self._seen: set[tuple[int, int]] = set()

    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[Misreading]:
        reader, writer = resolved(reader, self._reader_names), resolved(writer, self._writer_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.compare(reader, branch, path)
            return
        if isinstance(reader, list):
            reader = self._branch(reader, writer)
        if reader is None or not _takes(reader, writer):
            return
        written, read = _meaning(writer), _meaning(reader)
        if written and read and not _holds(reader, writer):
            yield Misreading(path, written, read)
        kind = reader["type"]
        if kind in ("record", "error"):
            if (id(reader), id(writer)) in self._seen:  # a record inside itself
                return
            self._seen.add((id(reader), id(writer)))
            yield from self._fields(reader, writer, path)
        elif kind in ("array", "map"):
            inside = "items" if kind == "array" else "values"
            yield from self.compare(reader[inside], writer[inside], f"{path}[]")

    def _fields(self, reader: Any, writer: Any, path: str) -> Iterator[Misreading]:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            names = [field["name"], *field.get("aliases", ())]
            source = next((written[name] for name in names if name in written), None)
            if source is not None:
                yield from self.compare(field["type"], source["type"], f"{path}.{field['name']}".lstrip("."))

    def _branch(self, union: list[Any], writer: Any) -> Any:
        """The branch that reads a value of `writer`: one of the same type before one
        that the type is promoted to."""
        branches = [resolved(branch, self._reader_names) for branch in union]
        branches = [branch for branch in branches if not isinstance(branch, list) and _takes(branch, writer)]
        return next(
            (
                branch
                for nearest in (_same_name, _same_type, lambda *_: True)
                for branch in branches
                if nearest(branch, writer)
            ),
            None,
        )


def _takes(reader: Any, writer: Any) -> bool:
    """Whether the reader can read the bytes of the writer's type at all; the registry judges the names."""
    if reader["type"] != writer["type"]:
        return writer["type"] in _PROMOTED.get(reader["type"], ())
    return bool(reader["type"] != "fixed" or reader["size"] == writer["size"])


def _same_type(reader: Any, writer: Any) -> bool:
    return bool(reader["type"] == writer["type"])


def _same_name(reader: Any, writer: Any) -> bool:
    names = (reader.get("name"), *reader.get("aliases", ()))
    return _same_type(reader, writer) and writer.get("name") in names


def _meaning(schema: dict[str, Any]) -> str:
    logical = _logical_type(schema)
    if logical != "decimal":
        return logical
    return f"decimal of precision {schema.get('precision')} and scale {schema.get('scale', 0)}"


def _logical_type(schema: dict[str, Any]) -> str:
    logical = schema.get("logicalType")
    if not isinstance(logical, str) or schema["type"] not in _BASES.get(logical, (schema["type"],)):
        return ""
    return logical


def _holds(reader: dict[str, Any], writer: dict[str, Any]) -> bool:
    if _logical_type(reader) != _logical_type(writer):
        return False
    if _logical_type(reader) != "decimal":
        return True
    if reader.get("scale", 0) != writer.get("scale", 0):
        return False
    wide, needed = reader.get("precision"), writer.get("precision")
    return not isinstance(wide, int) or not isinstance(needed, int) or wide >= needed
