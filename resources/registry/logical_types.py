"""Changes of meaning that no registry refuses: another logical type, or scale, on the same bytes.

Avro's schema resolution looks at the bytes alone. `timestamp-millis` made `timestamp-micros`, or a
decimal's scale 2 made 3, is compatible at every level, and a consumer that resolves old records with the
new schema gets values a thousand or ten times off. (Avro 1.12, "Decimal": two decimals match when their
scales and precisions match; a greater precision alters no value and is let through here.)
"""

import json
from typing import Any


def meaning_changes(old_text: str, new_text: str) -> list[str]:
    """One sentence for each field whose logical type both schemas name, and name differently."""
    old, new = json.loads(old_text), json.loads(new_text)
    comparison = _Comparison(_named(old, "", {}), _named(new, "", {}))
    comparison.compare(old, new, "")
    return comparison.found


class _Comparison:
    def __init__(self, old_names: dict[str, Any], new_names: dict[str, Any]) -> None:
        self.found: list[str] = []
        self._old_names, self._new_names = old_names, new_names
        self._seen: set[tuple[int, int]] = set()

    def compare(self, old: Any, new: Any, path: str) -> None:
        old, new = _resolved(old, self._old_names), _resolved(new, self._new_names)
        if isinstance(old, list) or isinstance(new, list):
            self._unions(_branches(old), _branches(new), path)
            return
        was, now = _meaning(old), _meaning(new)
        if was and now and was != now:
            self.found.append(
                f"field {path!r}: {was} became {now}; old records would be read with other values"
            )
        if old["type"] != new["type"]:
            return
        if old["type"] == "record":
            if (id(old), id(new)) in self._seen:  # a record within itself
                return
            self._seen.add((id(old), id(new)))
            fields = {field["name"]: field for field in old["fields"]}
            for field in new["fields"]:
                names = [field["name"], *field.get("aliases", ())]
                source = next((fields[name] for name in names if name in fields), None)
                if source is not None:
                    self.compare(source["type"], field["type"], f"{path}.{field['name']}".lstrip("."))
        elif old["type"] in ("array", "map"):
            inside = "items" if old["type"] == "array" else "values"
            self.compare(old[inside], new[inside], f"{path}[]")

    def _unions(self, old: list[Any], new: list[Any], path: str) -> None:
        old = [_resolved(branch, self._old_names) for branch in old]
        new = [_resolved(branch, self._new_names) for branch in new]
        for branch in old:
            # An old value lands in the branch of its own type; alone beside null, it can only be meant so.
            same = [one for one in new if _kind(one) == _kind(branch)]
            if not same and len(old) <= 2 and len(new) <= 2:
                same = [one for one in new if one["type"] != "null"]
            for one in same[:1]:
                self.compare(branch, one, path)


def _resolved(schema: Any, names: dict[str, Any]) -> Any:
    """A union as a list, anything else as an object with a primitive or complex type."""
    while not isinstance(schema, list):
        if isinstance(schema, str):
            schema = names.get(schema) or {"type": schema}
        if isinstance(schema["type"], str) and schema["type"] not in names:
            return schema
        schema = schema["type"]
    return schema


def _named(schema: Any, space: str, names: dict[str, Any]) -> dict[str, Any]:
    """Definitions by full name and, as they may be written so, by short name."""
    if isinstance(schema, list):
        for branch in schema:
            _named(branch, space, names)
    elif isinstance(schema, dict):
        if "name" in schema and schema.get("type") in ("record", "error", "enum", "fixed"):
            space = schema.get("namespace", schema["name"].rpartition(".")[0] or space)
            short = schema["name"].rpartition(".")[2]
            names.setdefault(short, schema)
            names[f"{space}.{short}" if space else short] = schema
        for part in (schema.get("type"), schema.get("items"), schema.get("values")):
            _named(part, space, names)
        for field in schema.get("fields", ()):
            _named(field["type"], space, names)
    return names


def _branches(schema: Any) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def _kind(schema: Any) -> tuple[str, str]:
    return schema["type"], schema.get("name", "")


def _meaning(schema: dict[str, Any]) -> str:
    logical = str(schema.get("logicalType", ""))
    return f"decimal of scale {schema.get('scale', 0)}" if logical == "decimal" else logical
