"""A contract: the Avro record that consumers rely on, read strictly from its `.avsc` file."""

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn, cast

import pyarrow as pa

from pipelines.contract.arrow_mapping import arrow_field, arrow_type
from pipelines.contract.avro_type import AvroField, AvroType
from pipelines.contract.errors import ContractError, ContractProblem
from pipelines.contract.parsing import MOST_NESTED, Finding, Parser
from pipelines.contract.rendering import fingerprint, render, to_text
from resources.errors import did_you_mean
from resources.json_mistakes import what_is_wrong
from resources.json_value import Json
from resources.wording import cut

# The largest double has 309 digits; the rest is reserve.
_LONGEST_NUMBER = 400


@dataclass(frozen=True)
class ContractField:
    """A top-level field. `avro` is its Avro JSON; `type` is the parsed form, which code should use."""

    name: str
    type: AvroType
    doc: str | None
    has_default: bool

    @property
    def avro(self) -> Json:
        return render(self.type)

    @cached_property
    def arrow_type(self) -> pa.DataType:
        return arrow_type(self.type)

    @property
    def nullable(self) -> bool:
        return self.type.nullable


@dataclass(frozen=True)
class Contract:
    """The parsed contract of one event. Two contracts are equal if their paths and shapes are equal."""

    path: Path
    type: AvroType

    @property
    def name(self) -> str:
        """The record's full name."""
        return self.type.name

    @cached_property
    def fields(self) -> tuple[ContractField, ...]:
        return tuple(ContractField(f.name, f.type, f.doc, f.has_default) for f in self.type.fields)

    @cached_property
    def schema(self) -> dict[str, Json]:
        """The Avro JSON of the record with docs, defaults and metadata, its keys in a
        fixed order. Do not change it."""
        return cast("dict[str, Json]", render(self.type))  # a record is an object

    @cached_property
    def text(self) -> str:
        """The schema to register: the same text, however the file is formatted."""
        return to_text(self.schema)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, hex, of the shape of records; docs, defaults and the file's format do not change it."""
        return fingerprint(self.type)

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        return pa.schema([arrow_field(child) for child in self.type.fields])

    def field(self, name: str) -> ContractField:
        """The field `name`; raises KeyError, with the most similar name, if there is none."""
        for child in self.fields:
            if child.name == name:
                return child
        names = [child.name for child in self.fields]
        raise KeyError(
            f"{self.path}: no field {name!r}; fields are {', '.join(names)}.{did_you_mean(name, names)}"
        )

    def without(self, name: str | None) -> "Contract":
        """The contract without the field `name`; unchanged if `name` is None."""
        if name is None:
            return self
        self.field(name)
        kept: tuple[AvroField, ...] = tuple(f for f in self.type.fields if f.name != name)
        return Contract(self.path, dataclasses.replace(self.type, fields=kept))

    def spelt_out(self) -> "Contract":
        """The contract with the same columns that accepts every value of them: text instead of
        an enum or a uuid on `fixed`."""
        return Contract(self.path, _spelt_out(self.type))


def _spelt_out(avro: AvroType) -> AvroType:
    if avro.kind == "enum" or (avro.kind, avro.logical) == ("fixed", "uuid"):
        return AvroType("string", null_branch=avro.null_branch)
    return dataclasses.replace(
        avro,
        items=None if avro.items is None else _spelt_out(avro.items),
        fields=tuple(dataclasses.replace(f, type=_spelt_out(f.type)) for f in avro.fields),
    )


def load_contract(path: Path) -> Contract:
    """Read and check `path`; raises ContractError with all problems."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except FileNotFoundError:
        raise _unreadable(path, "does not exist", "write the Avro schema of the event there") from None
    except OSError as error:
        raise _unreadable(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    if text.startswith("\ufeff"):
        raise _unreadable(
            path, "begins with a byte order mark, which JSON does not allow", "save it as UTF-8 without BOM"
        )
    return parse_contract(text, path)


def parse_contract(text: str, path: Path) -> Contract:
    """The contract whose file `path` has the content `text`; raises ContractError with all problems."""
    try:
        node = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant, parse_int=_whole)
    except json.JSONDecodeError as error:
        problem, expected = what_is_wrong(text, error)
        raise ContractError((ContractProblem(path, "", problem, expected),)) from None
    except RecursionError:
        deep = f"is nested deeper than {MOST_NESTED} types"
        raise _unreadable(path, deep, "publish the inner parts as events of their own") from None
    except ValueError as error:
        raise _unreadable(path, str(error)) from None
    if "\\u" in text:
        _require_characters(node, path)
    parser = Parser()
    record = parser.record(node)
    if parser.findings or record is None:
        raise ContractError(tuple(_problem(path, finding) for finding in parser.findings))
    return Contract(path, record)


def _problem(path: Path, finding: Finding) -> ContractProblem:
    return ContractProblem(path, finding.field, finding.problem, finding.allowed, finding.next_step)


def _unreadable(path: Path, problem: str, next_step: str | None = None) -> ContractError:
    return ContractError((ContractProblem(path, "", problem, None, next_step),))


def _distinct(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    # Python's parser keeps only the last of two equal keys, so the first would be lost in silence.
    node = dict(pairs)
    if len(node) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice in the object with {', '.join(map(repr, node))}")
    return node


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON, which knows finite numbers only; write a number, or null")


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"{cut(digits, 20)} is a number longer than any Avro type holds")
    return int(digits)


def _require_characters(node: Json, path: Path) -> None:
    """Raise ContractError for half of a surrogate pair: JSON can escape it, but no registry can store it."""
    left: list[tuple[str, Json]] = [("the contract", node)]
    while left:
        where, value = left.pop()
        if isinstance(value, dict):
            name = value.get("name", "")
            owner = (
                f"field {name!r}"
                if "type" in value and "fields" not in value
                else f"{value.get('type')} {name!r}"
            )
            left += [(f"the {key} of {owner}", key) for key in value]
            left += [(f"the {key} of {owner}", item) for key, item in value.items()]
        elif isinstance(value, list):
            left += [(where, item) for item in value]
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                half = repr(value[error.start])
                raise _unreadable(
                    path,
                    f"{where} has {half}, half a surrogate pair, which is no character",
                    "write the whole character",
                ) from None
