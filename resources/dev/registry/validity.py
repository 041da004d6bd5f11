"""Is a text an Avro schema (Avro 1.12), including its names and defaults?

The `avro` package alone accepts schemas that no reader can use: field names with a dash, defaults of the
wrong type. `fastavro` alone accepts repeated field names and nested unions. So both packages must accept a
schema, and this module checks the defaults.
"""

import json
import re
import warnings
from typing import Any

import avro.errors
import avro.schema
import fastavro

from resources.dev.registry.refusals import invalid_schema
from resources.registry.schemas import parsed_schema

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INT_BITS = {"int": 31, "long": 63}


def parsed(text: str) -> avro.schema.Schema:
    """The schema; raises RefusedError (42201) if the text is not a schema."""
    try:
        parsed_schema(text)
        text.encode()  # half of a surrogate pair cannot be stored
        value = json.loads(text)
        with warnings.catch_warnings():
            # `avro` warns about logical types that are newer than itself (local-timestamp-*,
            # timestamp-nanos), which are correct, and about impossible decimals, which fastavro refuses.
            warnings.simplefilter("ignore")
            schema = avro.schema.parse(text)
        fastavro.parse_schema(value)
    except (ValueError, KeyError, TypeError, AttributeError, avro.errors.AvroException) as failure:
        raise invalid_schema(str(failure) or type(failure).__name__) from None
    except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType) as failure:
        raise invalid_schema(str(failure)) from None
    _look_at_fields(schema, "", set())
    return schema


def _look_at_fields(schema: Any, path: str, seen: set[str]) -> None:
    if schema.type == "union":
        for branch in schema.schemas:
            _look_at_fields(branch, path, seen)
    elif schema.type in ("array", "map"):
        _look_at_fields(schema.items if schema.type == "array" else schema.values, f"{path}[]", seen)
    elif schema.type == "record" and schema.fullname not in seen:
        seen.add(schema.fullname)
        for field in schema.fields:
            place = f"{path}.{field.name}".lstrip(".")
            if not _NAME.fullmatch(field.name):
                raise invalid_schema(f"field name {place!r}: a name has letters, digits and _ only")
            if field.has_default and not _fits(field.type, field.default):
                raise invalid_schema(
                    f"default {json.dumps(field.default)} of field {place!r} is not a {field.type.type}"
                )
            _look_at_fields(field.type, place, seen)


def _fits(schema: Any, value: Any) -> bool:
    """Whether a JSON value is a valid default for this type (Avro 1.12, "Complex Types, Records")."""
    kind = schema.type
    if kind == "union":
        return any(_fits(branch, value) for branch in schema.schemas)
    if kind == "null":
        return value is None
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in _INT_BITS:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and -(1 << _INT_BITS[kind]) <= value < 1 << _INT_BITS[kind]
    if kind in ("float", "double"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "enum":
        return value in schema.symbols
    if kind == "array":
        return isinstance(value, list) and all(_fits(schema.items, item) for item in value)
    if kind == "map":
        return isinstance(value, dict) and all(_fits(schema.values, item) for item in value.values())
    if kind == "record":
        return isinstance(value, dict) and all(
            _fits(field.type, value[field.name]) if field.name in value else field.has_default
            for field in schema.fields
        )
    if kind == "string":
        return isinstance(value, str)
    # bytes and fixed: one character for each byte
    right = isinstance(value, str) and all(ord(character) < 256 for character in value)
    return right and (kind == "bytes" or len(value) == schema.size)
