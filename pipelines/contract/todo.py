"""Texts in a contract that still contain TODO, as in a draft. These texts are all that
consumers read about a field."""

import re
from collections.abc import Iterator, Mapping

from pipelines.contract.avro_type import AvroType
from pipelines.contract.contract import Contract

# The separate word in capitals: "TODOS" and "todo list" do not count; in quotes it is a value.
_TODO = re.compile(r"(?<![\w'\"`])TODO\b(?!['\"`])")
# Names and values are not texts: an enum of the states of a task may have the symbol TODO.
_NAMES_AND_VALUES = {"aliases", "default", "order"}


def says_todo(text: str) -> bool:
    """Whether the text contains the word TODO, in capitals."""
    return _TODO.search(text) is not None


def places_with_todo(contract: Contract) -> list[str]:
    """The places whose doc, or other metadata, contains TODO, in the contract's order.

    A place is the record itself (`record FlightDeparted`), a field at any depth (`legs[].fuel`), or the named
    type of a field (`route (record Route)`).
    """
    found: dict[str, None] = {}
    seen: set[str] = set()
    top = contract.type
    waiting: list[tuple[str, str, object, AvroType]] = [("", f"record {_short(top)}", None, top)]
    while waiting:
        path, place, texts, avro = waiting.pop()
        if _says_todo(texts):
            found[place] = None
        if avro.name in seen:
            continue
        if avro.name:
            seen.add(avro.name)
        if _says_todo(avro.attributes):
            found[f"{path} ({avro.kind} {_short(avro)})" if path and avro.name else place] = None
        inner: list[tuple[str, object, AvroType]] = [
            (f"{path}.{child.name}" if path else child.name, [child.doc, child.attributes], child.type)
            for child in avro.fields
        ]
        if avro.items is not None:
            inner.append((path + ("[]" if avro.kind == "array" else "{}"), None, avro.items))
        waiting += [(at, at, about, of_it) for at, about, of_it in reversed(inner)]
    return list(found)


def _short(avro: AvroType) -> str:
    return avro.name.rpartition(".")[2]


def _says_todo(about: object) -> bool:
    return any(map(says_todo, _texts(about)))


def _texts(about: object) -> Iterator[str]:
    waiting = [about]
    while waiting:
        match waiting.pop():
            case str(text):
                yield text
            case list() as several:
                waiting += several
            case Mapping() as named:
                waiting += [value for name, value in named.items() if name not in _NAMES_AND_VALUES]
