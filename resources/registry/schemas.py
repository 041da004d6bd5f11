"""Avro schemas by their meaning: two texts of the same schema give the same tree.

Names are full. What changes nothing is left out: white space, the order of members, `{"type": "int"}` for
`"int"`, a namespace next to a full name, `"order": "ascending"`, an empty list of aliases, a decimal's scale
of 0. Docs, defaults, aliases and unknown attributes stay, because consumers get them through the registry.
(Avro's parsing canonical form drops them, and logical types too. So two schemas with the same canonical form
can give a consumer different values.)
"""

import hashlib
import json
from typing import Any

NAMED = ("record", "error", "enum", "fixed")
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
_WORDS = (*NAMED, *PRIMITIVES, "array", "map")  # a named type with one of these names cannot be referred to
_DEEPEST = 100
# The attributes that decide the bytes of a record and the values in them.
_OF_VALUES = {
    "type", "name", "fields", "symbols", "size", "items", "values", "logicalType", "precision", "scale",
}  # fmt: skip


def parsed_schema(text: str) -> Any:
    """The tree of an Avro schema's text. Raises ValueError, with the reason in words, if the text does
    not have the form of a schema."""
    try:
        return _schema(json.loads(text), "", 0)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def same_schema(text: str, other: str) -> bool:
    """Whether two texts are the same schema, docs and defaults included. A text that is no
    schema equals no other text."""
    try:
        return fingerprint(text) == fingerprint(other)
    except ValueError:
        return False


def same_values(text: str, other: str) -> bool:
    """Whether records written with one schema have the same values when they are read with the other,
    with the same names and types."""
    try:
        return bool(writer_schema(text) == writer_schema(other))
    except ValueError:
        return False


def writer_schema(text: str) -> Any:
    """The parts of a schema that a reader needs to read records that were written with it. Docs, defaults
    and aliases are left out, because parsers refuse some of them for reasons that do not concern the
    records. Raises as `parsed_schema`."""
    return _of_values(parsed_schema(text))


def fingerprint(text: str) -> str:
    """A hash that is equal for texts of the same schema; raises ValueError for a text that is no schema."""
    canonical = json.dumps(parsed_schema(text), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def named_types(schema: Any) -> dict[str, Any]:
    """The definitions of named types in a tree, by full name."""
    found: dict[str, Any] = {}
    _collect(schema, found)
    return found


def resolved(schema: Any, names: dict[str, Any]) -> Any:
    """A union as a list; anything else as an object whose `type` is a word. The word may be
    a name that is not defined."""
    while not isinstance(schema, list):
        kind = schema if isinstance(schema, str) else schema["type"]
        if isinstance(kind, str) and (kind in _WORDS or kind not in names):
            return {"type": kind} if isinstance(schema, str) else schema
        schema = names[kind] if isinstance(kind, str) else kind
    return schema


def _schema(schema: Any, space: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"its types are nested deeper than {_DEEPEST}")
    if isinstance(schema, str):
        return _full(schema, space)
    if isinstance(schema, list):
        return [_schema(branch, space, depth + 1) for branch in schema]
    if not isinstance(schema, dict) or "type" not in schema:
        raise ValueError(f"{_shown(schema)} is not a type")
    kind = schema["type"]
    rest = {name: value for name, value in schema.items() if name != "type"}
    if kind in NAMED:
        return {"type": kind, **_named(kind, rest, space, depth)}
    if kind in ("array", "map"):
        inside = "items" if kind == "array" else "values"
        if inside not in rest:
            raise ValueError(f"an {kind} has no {inside}")
        return {"type": kind, **rest, inside: _schema(rest[inside], space, depth + 1)}
    plain = _schema(kind, space, depth + 1)
    if rest.get("logicalType") == "decimal" and rest.get("scale") == 0:
        del rest["scale"]
    return {"type": plain, **rest} if rest else plain


def _named(kind: str, rest: dict[str, Any], space: str, depth: int) -> dict[str, Any]:
    name, own = rest.get("name"), rest.pop("namespace", None)
    if not isinstance(name, str) or not isinstance(own, str | None):
        raise ValueError(f"the name of a {kind} is {_shown(name)}")
    if "." in name:
        space = name.rpartition(".")[0]
    elif own is not None:
        space = own
    rest["name"] = full = name if "." in name or not space else f"{space}.{name}"
    _aliases(rest, full.rpartition(".")[0])
    if kind in ("record", "error"):
        fields = rest.get("fields")
        if not isinstance(fields, list):
            raise ValueError(f"{kind} {full} has no list of fields")
        rest["fields"] = [_field(field, full, space, depth) for field in fields]
    elif kind == "enum" and not isinstance(rest.get("symbols"), list):
        raise ValueError(f"enum {full} has no list of symbols")
    elif kind == "fixed":
        if not isinstance(rest.get("size"), int):
            raise ValueError(f"fixed {full} has no size")
        if rest.get("logicalType") == "decimal" and rest.get("scale") == 0:
            del rest["scale"]
    return rest


def _field(field: Any, record: str, space: str, depth: int) -> dict[str, Any]:
    if not isinstance(field, dict) or not isinstance(field.get("name"), str) or "type" not in field:
        raise ValueError(f"a field of {record} has no name or no type")
    plain = {**field, "type": _schema(field["type"], space, depth + 1)}
    _aliases(plain, "")
    if plain.get("order") == "ascending":
        del plain["order"]
    # A default of 1 for a double is 1.0: the same value, and JSON does not say which of the two was meant.
    if plain["type"] in ("float", "double") and type(plain.get("default")) is int:
        plain["default"] = _float(plain["default"])
    return plain


def _float(number: int) -> float | int:
    try:
        return float(number)
    except OverflowError:
        return number


def _aliases(named: dict[str, Any], space: str) -> None:
    """Full names of the aliases, in the namespace of the name that they replace; a
    field's aliases have no namespace."""
    if "aliases" not in named:
        return
    aliases = named["aliases"]
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise ValueError(f"the aliases of {named['name']} are no list of names")
    if aliases:
        named["aliases"] = [alias if "." in alias or not space else f"{space}.{alias}" for alias in aliases]
    else:
        del named["aliases"]


def _full(name: str, space: str) -> str:
    return name if name in PRIMITIVES or "." in name or not space else f"{space}.{name}"


def _of_values(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_of_values(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: value for name, value in schema.items() if name in _OF_VALUES}
    for inside in ("type", "items", "values"):
        if inside in kept:
            kept[inside] = _of_values(kept[inside])
    if kept["type"] in ("record", "error"):
        kept["fields"] = [
            {"name": field["name"], "type": _of_values(field["type"])} for field in kept["fields"]
        ]
    return kept["type"] if kept.keys() == {"type"} else kept


def _collect(schema: Any, found: dict[str, Any]) -> None:
    if isinstance(schema, list):
        for branch in schema:
            _collect(branch, found)
    elif isinstance(schema, dict):
        kind = schema["type"]
        if kind in NAMED:
            found.setdefault(schema["name"], schema)
            for field in schema.get("fields", ()) if kind in ("record", "error") else ():
                _collect(field["type"], found)
        elif kind in ("array", "map"):
            _collect(schema["items" if kind == "array" else "values"], found)
        else:
            _collect(kind, found)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
