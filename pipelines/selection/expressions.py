"""What a selection says, as values; and the text of each value, which the parser reads as the same value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from pipelines.selection.globs import path_matches, segments_of

State = Literal["blocked", "failed", "interrupted", "late", "published", "unpublished"]

STATES: tuple[State, ...] = get_args(State)
KEYWORDS = ("and", "or", "not")
_ENDS_A_WORD = '()"'


@dataclass(frozen=True)
class Pattern:
    """A text that names of events, owners or tags are compared with. With `glob`, `*` matches any characters
    and `?` matches one; neither matches a slash."""

    text: str
    glob: bool = False

    def __post_init__(self) -> None:
        if self.glob and (not set("*?") & set(self.text) or not is_word(self.text)):
            raise ValueError(f"{self.text!r} is no glob")

    def matches(self, text: str) -> bool:
        if not self.glob:
            return text == self.text
        return path_matches(self._segments, text)

    @cached_property
    def _segments(self) -> tuple[str, ...]:
        return segments_of(self.text)

    def written(self, reserved: str) -> str:
        """The text as a selection has it; quoted if it would otherwise mean something else. `reserved` ends
        an unquoted word here."""
        bare = self.glob or (
            is_word(self.text) and not set("*?") & set(self.text) and self.text.lower() not in KEYWORDS
        )
        if bare and not set(reserved) & set(self.text):
            return self.text
        return '"' + self.text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def is_word(text: str) -> bool:
    """Whether this text may be in a selection without quotes."""
    return bool(text) and not any(ends_a_word(one) for one in text)


def ends_a_word(character: str) -> bool:
    return character.isspace() or character in _ENDS_A_WORD


@dataclass(frozen=True)
class Named:
    """Events by name: `domain/name`, or, without a slash, the name in any domain."""

    name: Pattern

    def __str__(self) -> str:
        return self.name.written(":,")


@dataclass(frozen=True)
class OwnedBy:
    owner: Pattern

    def __str__(self) -> str:
        return f"owner:{self.owner.written('')}"


@dataclass(frozen=True)
class Tagged:
    """Events with this tag; with `value`, events whose tag has this value."""

    key: Pattern
    value: Pattern | None = None

    def __str__(self) -> str:
        key = f"tag:{self.key.written('=')}"
        if self.value is None:
            return key
        return f"{key}={self.value.written('') if self.value.text else ''}"


@dataclass(frozen=True)
class InState:
    """Events of which at least one window is in this state, or none is published (`unpublished`)."""

    state: State

    def __str__(self) -> str:
        return f"state:{self.state}"


@dataclass(frozen=True)
class Not:
    part: Expression

    def __str__(self) -> str:
        return f"not {_inside(self.part)}"


@dataclass(frozen=True)
class All:
    """Events that every part picks; two parts or more."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " and ".join(map(_inside, self.parts))


@dataclass(frozen=True)
class AnyOf:
    """Events that at least one part picks; two parts or more."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " or ".join(map(_inside, self.parts))


Term = Named | OwnedBy | Tagged | InState
Expression = Term | Not | All | AnyOf


def _inside(part: Expression) -> str:
    return f"({part})" if isinstance(part, All | AnyOf) else str(part)


def terms_of(expression: Expression, *, negated: bool = False) -> Iterator[tuple[Term, bool]]:
    """Every term, and whether it is under an odd number of `not`."""
    match expression:
        case Not(part):
            yield from terms_of(part, negated=not negated)
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from terms_of(part, negated=negated)
        case term:
            yield term, negated


def uses_states(expression: Expression) -> bool:
    """Whether the ledger is needed to decide what the expression picks."""
    return any(isinstance(term, InState) for term, _ in terms_of(expression))


def plain_name(expression: Expression) -> str | None:
    """The name, if the expression is the name of one event and nothing else."""
    return expression.name.text if isinstance(expression, Named) and not expression.name.glob else None
