"""From Avro 1.12 schema JSON to the parsed form, strictly: every mistake is reported, with its field."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from pipelines.contract.avro_type import COMPLEX, PRIMITIVES, AvroField, AvroType, Kind
from pipelines.contract.defaults import misfit
from pipelines.contract.logical_types import check_no_strays, logical_type
from pipelines.contract.mistakes import SchemaMistakeError
from resources.errors import did_you_mean
from resources.json_value import Json
from resources.wording import brief

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME_RULE = "letters, digits and _, not starting with a digit"
# Levels of types inside each other; a union with null counts as a level.
MOST_NESTED = 48
_Symbols = list[str]  # of an enum, after each was checked
# The parser reads these into the parsed form; everything else that an author writes is kept as metadata.
_READ = {"type", "name", "namespace", "fields", "symbols", "items", "values", "size"}
_LOGICAL = {"logicalType", "precision", "scale"}
_UNION_ADVICE = "a type, or a union of null and one type: ['null', T] or [T, 'null']"


@dataclass(frozen=True)
class Finding:
    """A mistake at a field path; the caller that read the file adds the file."""

    field: str
    problem: str
    allowed: str | None = None
    next_step: str | None = None


@dataclass
class Parser:
    """Parses one schema. After that, `findings` is empty if, and only if, the schema is usable."""

    findings: list[Finding] = field(default_factory=list)
    _named: dict[str, AvroType | None] = field(default_factory=dict)  # None while being defined
    _depth: int = 0

    def record(self, node: Json) -> AvroType | None:
        """The top-level type, which must be a record with at least one field. None if it is not usable."""
        if not isinstance(node, dict) or node.get("type") != "record":
            self._report(
                "",
                SchemaMistakeError("is not a record", "one Avro record at the top: {'type': 'record', ...}"),
            )
            return None
        return self._attempt(node, "", "")

    def _report(self, path: str, mistake: SchemaMistakeError) -> None:
        self.findings.append(Finding(path, mistake.problem, mistake.allowed, mistake.next_step))

    def _attempt(self, node: Json, path: str, namespace: str) -> AvroType | None:
        try:
            return self._type(node, path, namespace)
        except SchemaMistakeError as mistake:
            self._report(path, mistake)
            return None

    def _type(self, node: Json, path: str, namespace: str) -> AvroType:
        if self._depth > MOST_NESTED:
            raise SchemaMistakeError(
                f"is nested more than {MOST_NESTED} types deep, which is not supported, because Parquet stores 100 levels and "
                "an array or a map takes two",
                None,
                "publish the inner parts as events of their own",
            )
        self._depth += 1
        try:
            match node:
                case str():
                    return self._by_name(node, namespace)
                case list():
                    return self._union(node, path, namespace)
                case dict():
                    return self._object(node, path, namespace)
        finally:
            self._depth -= 1
        raise SchemaMistakeError(
            f"type {brief(node)} is not an Avro type", "a type name, a type object, or a union (list)"
        )

    def _by_name(self, text: str, namespace: str) -> AvroType:
        if text == "null":
            raise SchemaMistakeError(
                "type null alone is not supported, because a field that is always null tells nothing",
                _UNION_ADVICE,
            )
        if text in PRIMITIVES:
            return AvroType(cast(Kind, text))
        if text in COMPLEX:
            raise SchemaMistakeError(
                f"type {brief(text)} needs its own object",
                None,
                f"write 'type': {{'type': '{text}', ...}} inside the field",
            )
        full = text if "." in text or not namespace else f"{namespace}.{text}"
        if full not in self._named:
            names = [*PRIMITIVES[1:], *(name for name, done in self._named.items() if done)]
            raise SchemaMistakeError(
                f"type {brief(text)} is not known.{did_you_mean(text, names)}",
                f"{', '.join(names)}, or a type object; a named type is defined before it is used",
            )
        found = self._named[full]
        if found is None:
            raise SchemaMistakeError(
                f"type {brief(full)} contains itself, which is not supported, because Arrow and Parquet have no "
                "recursive types",
                None,
                "give the depth you need its own record types, or publish the children as their own event",
            )
        return found

    def _union(self, node: list[Json], path: str, namespace: str) -> AvroType:
        others = [branch for branch in node if branch != "null"]
        if len(node) != 2 or len(others) != 1:
            shown = ", ".join(
                str(b.get("name", b.get("type"))) if isinstance(b, dict) else str(b) for b in node
            )
            raise SchemaMistakeError(
                f"union [{shown}] is not supported, because Arrow columns in Parquet hold one type",
                _UNION_ADVICE,
                "split the choices into nullable fields, or into events of their own",
            )
        if isinstance(others[0], list):
            raise SchemaMistakeError("a union directly inside a union is not Avro", _UNION_ADVICE)
        return dataclasses.replace(self._type(others[0], path, namespace), null_branch=node.index("null"))

    def _object(self, node: dict[str, Json], path: str, namespace: str) -> AvroType:
        kind = node.get("type")
        if not isinstance(kind, str):
            problem = "a type object has no 'type'" if kind is None else "a type object inside a type object"
            raise SchemaMistakeError(problem, f"'type' is one of {', '.join((*PRIMITIVES[1:], *COMPLEX))}")
        if kind == "error":
            raise SchemaMistakeError(
                "type 'error' is not supported, because it belongs to Avro RPC", "'record'"
            )
        if kind not in PRIMITIVES and kind not in COMPLEX:
            found = self._by_name(kind, namespace)
            if _LOGICAL & node.keys():
                raise SchemaMistakeError(
                    f"a logical type beside the reference {brief(kind)} has no effect in Avro",
                    None,
                    f"put it where {brief(kind)} is defined",
                )
            return found
        if kind == "null":
            return self._by_name(kind, namespace)
        match kind:
            case "record":
                parsed = self._record(node, path, namespace)
            case "enum":
                parsed = self._enum(node, namespace)
            case "fixed":
                parsed = self._fixed(node, namespace)
            case "array" | "map":
                parsed = self._collection(kind, node, path, namespace)
            case _:
                parsed = AvroType(cast(Kind, kind), **logical_type(kind, node), attributes=_metadata(node))
        check_no_strays(kind, node)
        if parsed.name:
            self._named[parsed.name] = parsed
        return parsed

    def _define(self, node: dict[str, Json], enclosing: str) -> str:
        """The full name of a named type; marks it as being defined."""
        name, namespace = node.get("name"), node.get("namespace")
        what = node["type"]
        if not isinstance(name, str) or not name:
            raise SchemaMistakeError(f"{what} has no name", f"'name': {_NAME_RULE}")
        if namespace is not None and not isinstance(namespace, str):
            raise SchemaMistakeError(f"namespace {brief(namespace)} is not a string", "dotted names")
        if "." not in name:
            space = enclosing if namespace is None else namespace
            name = f"{space}.{name}" if space else name
        for part in name.split("."):
            if not _NAME.fullmatch(part):
                raise SchemaMistakeError(
                    f"name {brief(name)} is not legal in Avro", f"{_NAME_RULE}; dots for namespaces"
                )
        if name in PRIMITIVES:
            raise SchemaMistakeError(f"name {brief(name)} is that of a primitive type", "any other name")
        if name in self._named:
            raise SchemaMistakeError(
                f"type {brief(name)} is defined twice",
                None,
                f"define it once, then write {brief(name)} as the type",
            )
        _check_aliases(node, dotted=True)
        self._named[name] = None
        return name

    def _record(self, node: dict[str, Json], path: str, namespace: str) -> AvroType:
        name = self._define(node, namespace)
        listed = node.get("fields")
        if not isinstance(listed, list) or not listed:
            raise SchemaMistakeError(
                f"record {brief(name)} has no fields, which is not supported, because Parquet cannot store it",
                "'fields': a list of at least one field",
            )
        children: list[AvroField] = []
        taken: set[str] = set()
        for position, item in enumerate(listed):
            child = self._field(item, position, path, name.rpartition(".")[0], taken)
            if child is not None:
                children.append(child)
        return AvroType("record", name=name, fields=tuple(children), attributes=_metadata(node))

    def _field(
        self, node: Json, position: int, path: str, namespace: str, taken: set[str]
    ) -> AvroField | None:
        here = f"{path}.fields[{position}]" if path else f"fields[{position}]"
        item = node if isinstance(node, dict) else {}
        name = item.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problem = "has no name" if name is None else f"name {brief(name)} is not legal in Avro"
            self._report(
                here, SchemaMistakeError(problem, f"an object with 'name' ({_NAME_RULE}) and 'type'")
            )
            return None
        here = f"{path}.{name}" if path else name
        before = len(self.findings)
        try:
            _check_field(item, name, taken)
        except SchemaMistakeError as mistake:
            self._report(here, mistake)
        parsed = self._attempt(item["type"], here, namespace) if "type" in item else None
        if "type" not in item:
            self._report(here, SchemaMistakeError("has no type", "'type': an Avro type"))
        if parsed is None or len(self.findings) > before:
            return None
        if "default" in item and (expected := misfit(item["default"], parsed)) is not None:
            self._report(
                here, SchemaMistakeError(f"default {brief(item['default'])} does not fit {parsed}", expected)
            )
        extra = {k: v for k, v in item.items() if k not in ("name", "type", "doc", "default")}
        # `_check_field` accepts only text as `doc`.
        return AvroField(
            name, parsed, cast("str | None", item.get("doc")), "default" in item, item.get("default"), extra
        )

    def _enum(self, node: dict[str, Json], namespace: str) -> AvroType:
        name = self._define(node, namespace)
        symbols = node.get("symbols")
        if not isinstance(symbols, list) or not symbols:
            raise SchemaMistakeError(
                f"enum {brief(name)} has no symbols", "'symbols': a list of at least one name"
            )
        for symbol in symbols:
            if not isinstance(symbol, str) or not _NAME.fullmatch(symbol):
                raise SchemaMistakeError(f"enum symbol {brief(symbol)} is not legal in Avro", _NAME_RULE)
            if symbols.count(symbol) > 1:
                raise SchemaMistakeError(f"enum symbol {brief(symbol)} stands twice", "distinct symbols")
        if "default" in node and node["default"] not in symbols:
            raise SchemaMistakeError(
                f"enum default {brief(node['default'])} is not a symbol",
                f"one of {', '.join(cast(_Symbols, symbols))}",
            )
        return AvroType("enum", name=name, symbols=tuple(cast(_Symbols, symbols)), attributes=_metadata(node))

    def _fixed(self, node: dict[str, Json], namespace: str) -> AvroType:
        name, size = self._define(node, namespace), node.get("size")
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 2**31 - 1:
            raise SchemaMistakeError(
                f"fixed {brief(name)} has size {brief(size)}", "'size': a whole number of bytes, at least 1"
            )
        return AvroType(
            "fixed", name=name, size=size, **logical_type("fixed", node), attributes=_metadata(node)
        )

    def _collection(self, kind: str, node: dict[str, Json], path: str, namespace: str) -> AvroType:
        key = "items" if kind == "array" else "values"
        if key not in node:
            raise SchemaMistakeError(f"{kind} has no {brief(key)}", f"{brief(key)}: the type of its elements")
        element = self._type(node[key], f"{path}[]", namespace)
        return AvroType(cast(Kind, kind), items=element, attributes=_metadata(node))


def _check_field(item: dict[str, Json], name: str, taken: set[str]) -> None:
    if name in taken:
        raise SchemaMistakeError(f"field {brief(name)} is declared twice", "distinct field names")
    taken.add(name)
    strays = sorted((_LOGICAL | {"items", "values", "symbols", "size", "fields"}) & item.keys())
    if strays:
        raise SchemaMistakeError(
            f"{', '.join(map(repr, strays))} beside 'type', where Avro ignores it",
            None,
            "move it into the type: 'type': {'type': ..., " + repr(strays[0]) + ": ...}",
        )
    if not isinstance(item.get("doc", ""), str):
        raise SchemaMistakeError(f"doc {brief(item['doc'])} is not a string", "text")
    if item.get("order", "ascending") not in ("ascending", "descending", "ignore"):
        raise SchemaMistakeError(
            f"order {brief(item['order'])} is not known", "ascending, descending, ignore"
        )
    _check_aliases(item, dotted=False)


def _check_aliases(node: dict[str, Json], *, dotted: bool) -> None:
    aliases = node.get("aliases", [])
    legal = isinstance(aliases, list) and all(
        isinstance(alias, str)
        and all(_NAME.fullmatch(part) for part in (alias.split(".") if dotted else [alias]))
        for alias in aliases
    )
    if not legal:
        raise SchemaMistakeError(
            f"aliases {brief(aliases)} are not legal in Avro", f"a list of names: {_NAME_RULE}"
        )


def _metadata(node: dict[str, Json]) -> Mapping[str, Json]:
    return {key: value for key, value in node.items() if key not in _READ | _LOGICAL}
