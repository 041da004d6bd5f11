"""Changes of meaning that no registry refuses: another logical type, or scale, on the same bytes.

Avro's schema resolution looks at the bytes alone. `timestamp-millis` made `timestamp-micros`, or a decimal's scale 2
made 3, is compatible at every level, and a consumer that resolves old records with the new schema gets values a
thousand or ten times off. (Avro 1.12, "Decimal": two decimals match when their scales and precisions match. A reader
with a greater precision holds every value, and is let through here; one with a smaller precision does not.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from resources.registry.schemas import named_types, resolved

# Avro 1.12, "Logical Types": on other types they are to be ignored. One that is not listed here is taken as it stands.
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
# Reader -> writers whose bytes it takes (Avro 1.12, "Schema Resolution").
_PROMOTED = {
    "long": ("int",),
    "float": ("int", "long"),
    "double": ("int", "long", "float"),
    "string": ("bytes",),
    "bytes": ("string",),
}


@dataclass(frozen=True)
class Misreading:
    """At the field `path` of the reader, what was written as `written` is read as `read`."""

    path: str
    written: str
    read: str


def misreadings(reader: Any, writer: Any) -> list[Misreading]:
    """Where `reader` resolves what `writer` wrote and gets other values; two trees of `parsed_schema`.

    A field counts only where both sides name a logical type, and different ones.
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
            if (id(reader), id(writer)) in self._seen:  # a record within itself
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
        """The branch that a value of `writer` is read with: its own type before one that it is promoted to."""
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
    """Whether the bytes of one type are read as the other at all; names are the registry's to judge."""
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
