"""Which changes make a new schema incompatible with an earlier one, field by field.

The rules are Avro's ("Schema Resolution", 1.12), for schemas that the `avro` package has parsed. That
package's own checker gives the same verdicts (a test compares the two) but cannot give the reason: its
messages are an unordered set, `{'x'}` for a field without a default, without the place inside a union. It
also refuses a legal rename if the alias is written without its namespace. That is why this module exists.
"""

from typing import Any

LEVELS = [
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
]

_READS_ALSO = {
    "long": {"int"},
    "float": {"int", "long"},
    "double": {"int", "long", "float"},
    "bytes": {"string"},
    "string": {"bytes"},
}


def problems(level: str, new: Any, old: Any, old_name: str) -> list[str]:
    """The reasons why two parsed schemas are incompatible at `level`; empty if there are none.

    BACKWARD: readers with the new schema must read what was written with the old one. FORWARD: readers with
    the old schema must read what is written with the new one. FULL: both. NONE: no rule.
    """
    found = []
    if level.startswith(("BACKWARD", "FULL")):
        found += [
            f"the new schema cannot read data of {old_name} (level {level}): {why}"
            for why in unreadable(new, old)
        ]
    if level.startswith(("FORWARD", "FULL")):
        found += [
            f"{old_name} cannot read data of the new schema (level {level}): {why}"
            for why in unreadable(old, new)
        ]
    return found


def unreadable(reader: Any, writer: Any) -> list[str]:
    """Why `reader` cannot read what `writer` wrote, in the reader's order; empty if it can."""
    return list(dict.fromkeys(_Comparison().mismatches(reader, writer, "")))


class _Comparison:
    def __init__(self) -> None:
        # By identity, because named types may refer to themselves; the schemas
        # live longer than the comparison.
        self._known: dict[tuple[int, int], list[str]] = {}

    def mismatches(self, reader: Any, writer: Any, path: str) -> list[str]:
        pair = (id(reader), id(writer))
        if pair not in self._known:
            self._known[pair] = []  # a recursive type counts as compatible with itself while it is compared
            self._known[pair] = self._compare(reader, writer, path)
        return self._known[pair]

    def _compare(self, reader: Any, writer: Any, path: str) -> list[str]:
        if writer.type == "union":
            return [why for branch in writer.schemas for why in self.mismatches(reader, branch, path)]
        if reader.type == "union":
            return self._into_union(reader, writer, path)
        if reader.type != writer.type:
            if writer.type in _READS_ALSO.get(reader.type, ()):
                return []
            return [_at(path, f"{_shown(reader)} cannot hold {_shown(writer)}")]
        if reader.type == "array":
            return self.mismatches(reader.items, writer.items, f"{path}[]")
        if reader.type == "map":
            return self.mismatches(reader.values, writer.values, f"{path}[]")
        if reader.type not in ("record", "error", "enum", "fixed"):
            return []
        found = []
        if reader.name != writer.name and writer.fullname not in _aliases(reader):
            found.append(
                _at(path, f"{reader.type} {writer.fullname!r} became {reader.fullname!r} without an alias")
            )
        if reader.type == "fixed" and reader.size != writer.size:
            found.append(_at(path, f"fixed of {reader.size} bytes cannot hold {writer.size} bytes"))
        if reader.type == "enum" and reader.props.get("default") is None:
            lost = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
            if lost:
                found.append(_at(path, f"enum {reader.name} has no default and lacks {', '.join(lost)}"))
        if reader.type in ("record", "error"):
            found += self._fields(reader, writer, path)
        return found

    def _fields(self, reader: Any, writer: Any, path: str) -> list[str]:
        written = {field.name: field for field in writer.fields}
        found: list[str] = []
        for field in reader.fields:
            place = f"{path}.{field.name}".lstrip(".")
            names = [field.name, *(field.props.get("aliases") or ())]
            source = next((written[name] for name in names if name in written), None)
            if source is not None:
                found += self.mismatches(field.type, source.type, place)
            elif not field.has_default:
                found.append(_at(place, "it is missing from the data and has no default"))
        return found

    def _into_union(self, reader: Any, writer: Any, path: str) -> list[str]:
        inside: list[str] = []
        for branch in reader.schemas:
            why = self.mismatches(branch, writer, path)
            if not why:
                return []
            if branch.type == writer.type:
                inside += why  # only of the branch that was meant: the others help nobody
        return inside or [_at(path, f"{_shown(reader)} cannot hold {_shown(writer)}")]


def _aliases(schema: Any) -> set[str]:
    """Full names of the aliases: an alias without a dot is in the namespace of the name that it replaces."""
    space = schema.fullname.rpartition(".")[0]
    return {
        alias if "." in alias or not space else f"{space}.{alias}"
        for alias in schema.props.get("aliases") or ()
    }


def _shown(schema: Any) -> str:
    if schema.type == "union":
        return "[" + ", ".join(_shown(branch) for branch in schema.schemas) + "]"
    name = getattr(schema, "name", None)
    return (
        f"{schema.type} {name}" if name and schema.type in ("record", "enum", "fixed") else str(schema.type)
    )


def _at(path: str, why: str) -> str:
    return f"field {path!r}: {why}" if path else why
