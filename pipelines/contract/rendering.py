"""Avro JSON from the parsed form: the text to register, and the canonical form for the fingerprint."""

import hashlib
import json
from typing import cast

from pipelines.contract.avro_type import AvroField, AvroType
from resources.json_value import Json

# The caller adds other values than texts, so a `dict[str, str]` needs a cast.
_Object = dict[str, Json]


def render(avro: AvroType) -> Json:
    """Avro JSON with docs, defaults, aliases and metadata; its keys have a fixed order."""
    return _Renderer(canonical=False).type_json(avro, "")


def fingerprint(avro: AvroType) -> str:
    """SHA-256, hex, of the Parsing Canonical Form (Avro 1.12), but with logical types.

    Docs, defaults and aliases do not change it, because they do not change a byte of a record. Avro's own
    form drops logical types. With it, an amount in cents and a timestamp would have the same fingerprint.
    """
    canonical = _Renderer(canonical=True).type_json(avro, "")
    return hashlib.sha256(to_text(canonical).encode()).hexdigest()


def to_text(schema: Json) -> str:
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


class _Renderer:
    def __init__(self, *, canonical: bool) -> None:
        self._canonical = canonical
        self._defined: set[str] = set()

    def type_json(self, avro: AvroType, namespace: str) -> Json:
        plain = self._plain(avro, namespace)
        if avro.null_branch is None:
            return plain
        return ["null", plain] if avro.null_branch == 0 else [plain, "null"]

    def _plain(self, avro: AvroType, namespace: str) -> Json:
        if avro.name and avro.name in self._defined:
            return avro.name
        body: dict[str, Json] = {}
        if avro.name:
            self._defined.add(avro.name)
            body, namespace = self._name(avro.name, namespace)
        body["type"] = avro.kind
        if avro.kind == "fixed":
            body["size"] = avro.size
        elif avro.kind == "enum":
            body["symbols"] = list(avro.symbols)
        elif avro.kind == "array":
            body["items"] = self.type_json(avro.element, namespace)
        elif avro.kind == "map":
            body["values"] = self.type_json(avro.element, namespace)
        if avro.logical:
            body["logicalType"] = avro.logical
            if avro.logical == "decimal":
                body |= {"precision": avro.precision, "scale": avro.scale}
        if not self._canonical:
            body |= {key: avro.attributes[key] for key in sorted(avro.attributes)}
        if avro.kind == "record":
            body["fields"] = [self._field(child, namespace) for child in avro.fields]
        return avro.kind if body == {"type": avro.kind} else body

    def _name(self, full_name: str, enclosing: str) -> tuple[_Object, str]:
        namespace, _, simple = full_name.rpartition(".")
        if self._canonical:
            return {"name": full_name}, namespace
        # A nested type inherits its namespace; it is written only if it differs ("" means no namespace).
        return cast(
            _Object, {"name": simple} | ({"namespace": namespace} if namespace != enclosing else {})
        ), namespace

    def _field(self, child: AvroField, namespace: str) -> dict[str, Json]:
        body: dict[str, Json] = {"name": child.name, "type": self.type_json(child.type, namespace)}
        if not self._canonical:
            if child.doc is not None:
                body["doc"] = child.doc
            if child.has_default:
                body["default"] = child.default
            body |= {key: child.attributes[key] for key in sorted(child.attributes)}
        return body
