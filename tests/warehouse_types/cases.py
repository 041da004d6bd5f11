"""What a case says about one type of a warehouse."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A type as its warehouse writes it,
    with values in SQL and what an event has for each; without events: refused.

    `covers` are the names in the warehouse's catalogue that the case represents, if they differ from the
    type's own name; `avro` is the contract's type, if it differs from that of a draft; `shown`: whether the
    documentation has a row for it.
    """

    type: str
    values: tuple[str, ...]
    events: tuple[Any, ...] = ()
    covers: tuple[str, ...] = ()
    avro: Any = None
    shown: bool = True
    setup: str = field(default="", kw_only=True)

    @property
    def refused(self) -> bool:
        return not self.events


def exact(type_: str, *pairs: tuple[str, Any], **more: Any) -> Case:
    """A type for which every value arrives, or is a dead letter."""
    return Case(type_, tuple(sql for sql, _ in pairs), tuple(event for _, event in pairs), **more)


def refused(type_: str, *values: str, **more: Any) -> Case:
    """A type that is refused before a row is read."""
    return Case(type_, values, **more)
