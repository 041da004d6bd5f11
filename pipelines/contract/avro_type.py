"""The parsed form of an Avro type, which the Arrow mapping, the conformer and the encoder use."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from resources.json_value import Json

Kind = Literal[
    "boolean", "int", "long", "float", "double", "bytes", "string", "fixed", "enum", "array", "map", "record"
]
PRIMITIVES: tuple[str, ...] = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
COMPLEX: tuple[str, ...] = ("record", "enum", "array", "map", "fixed")


@dataclass(frozen=True)
class AvroType:
    """One Avro type. Names are resolved; a union with null is this type with a `null_branch`.

    `null_branch` is the index of null in the union (0 or 1); None if the type is not a union. `logical` is
    set only if Avro 1.12 defines it for `kind` and Sluice supports it.
    """

    kind: Kind
    logical: str | None = None
    null_branch: int | None = None
    name: str = ""  # full name of a record, enum or fixed
    size: int = 0  # bytes of a fixed
    precision: int = 0
    scale: int = 0
    symbols: tuple[str, ...] = ()
    items: "AvroType | None" = None  # elements of an array, values of a map
    fields: "tuple[AvroField, ...]" = ()
    # doc, aliases and the author's own metadata: registered, never part of the fingerprint
    attributes: Mapping[str, Json] = field(default_factory=dict, compare=False)

    @property
    def nullable(self) -> bool:
        return self.null_branch is not None

    @property
    def element(self) -> "AvroType":
        """The type of an array's elements or a map's values."""
        if self.items is None:
            raise TypeError(f"Avro {self.kind} has no elements")
        return self.items

    def __str__(self) -> str:
        """In an author's words: `decimal(9, 2)`, `array of int`, `enum A|B`."""
        match self.kind, self.logical:
            case _, "decimal":
                text = f"decimal({self.precision}, {self.scale})"
            case _, str(logical):
                text = logical
            case "array" | "map", _:
                text = f"{self.kind} of {self.items}"
            case "enum", _:
                text = f"enum {'|'.join(self.symbols)}"
            case "fixed", _:
                text = f"fixed({self.size})"
            case _:
                text = f"{self.kind} {self.name}".strip()
        return f"{text} or null" if self.nullable else text


@dataclass(frozen=True)
class AvroField:
    """A field of a record, at any depth."""

    name: str
    type: AvroType
    doc: str | None = field(default=None, compare=False)
    has_default: bool = False
    default: Json = field(default=None, compare=False)
    attributes: Mapping[str, Json] = field(default_factory=dict, compare=False)
