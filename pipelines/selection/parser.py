"""From the text of a selection to its expression.

selection = all, {"or", all}
all       = part, {"and", part}
part      = "not", part | "(", selection, ")" | term
term      = NAME | "owner:" VALUE | "tag:" KEY ["=" VALUE] | "state:" STATE
"""

from __future__ import annotations

from collections.abc import Callable

from pipelines.authoring.problems import near_miss
from pipelines.selection.expressions import (
    KEYWORDS,
    STATES,
    All,
    AnyOf,
    Expression,
    InState,
    Named,
    Not,
    OwnedBy,
    Pattern,
    Tagged,
    Term,
    ends_a_word,
)
from resources.errors import SluiceError
from resources.wording import brief

_DEEPEST = 50
_LONGEST = 10_000
_A_TERM = "a name such as shop/* or shipment_shipped, owner:, tag:, state:, not or ("
_BETWEEN = "and, or, or the end"
_FIELDS = ("owner", "tag", "state")


class SelectionError(SluiceError):
    """A text that is not a selection.
    `position` counts characters from 0; `expected` is what would be right there."""

    def __init__(
        self, text: str, position: int, problem: str, *, expected: str, next_step: str | None = None
    ) -> None:
        self.text, self.position, self.expected = text, position, expected
        super().__init__(
            f"selection {brief(text)}, character {position + 1}",
            problem,
            allowed=expected,
            next_step=next_step,
        )


def parse(text: str) -> Expression:
    """The expression that `text` says. Raises SelectionError."""
    return _Parser(text).whole()


class _Parser:
    """Reads one text from left to right; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0

    def whole(self) -> Expression:
        if len(self.text) > _LONGEST:
            raise self.error(f"has {len(self.text):,} characters", f"at most {_LONGEST:,} characters")
        found = self.selection()
        if self.at < len(self.text):
            if self.text[self.at] == ")":
                raise self.error("')' closes nothing", _BETWEEN, "leave it out, or add '('")
            raise self.after_a_term(_BETWEEN)
        return found

    def selection(self) -> Expression:
        parts = self.joined("or", self.all)
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def all(self) -> Expression:
        parts = self.joined("and", self.part)
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def joined(self, keyword: str, read: Callable[[], Expression]) -> list[Expression]:
        parts = [read()]
        while self.took(keyword):
            parts.append(read())
        return parts

    def part(self) -> Expression:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.error(
                f"more than {_DEEPEST} parentheses and not inside each other", f"at most {_DEEPEST}"
            )
        try:
            if self.took("not"):
                return Not(self.part())
            if self.text[self.at : self.at + 1] == "(":
                opened = self.at
                self.at += 1
                found = self.selection()
                if self.at == len(self.text):
                    raise self.error("'(' is not closed", "a ')' for each '('", at=opened)
                if self.text[self.at] != ")":
                    raise self.after_a_term("and, or, or )")
                self.at += 1
                self.blanks()
                return found
            found = self.term()
            self.blanks()
            return found
        finally:
            self.depth -= 1

    def term(self) -> Term:
        start = self.at
        if start == len(self.text):
            raise self.error("ends where a term is missing" if self.text.strip() else "is empty", _A_TERM)
        if self.text[start] == '"':
            return Named(self.value("", "a name"))
        word = self.word(":")
        if not word or word.lower() in KEYWORDS:
            raise self.error(f"found {word or self.text[start]!r} where a term is missing", _A_TERM, at=start)
        if self.text[self.at : self.at + 1] != ":":
            self.boundary()
            if "," in word:
                raise self.error(
                    f"{word!r} has a comma, which no name has",
                    _BETWEEN,
                    f"write {' or '.join(part for part in word.split(',') if part)}",
                    at=start + word.index(","),
                )
            return Named(_bare(word))
        if word not in _FIELDS:
            raise self.error(
                f"{word + ':'!r} is not known",
                ", ".join(f"{one}:" for one in _FIELDS),
                near_miss(word, _FIELDS, "{}:"),
                at=start,
            )
        self.at += 1
        if word == "owner":
            return OwnedBy(self.value("", "an owner such as team:billing"))
        if word == "tag":
            key = self.value("=", "a tag such as gdpr or tier=1")
            if self.text[self.at : self.at + 1] != "=":
                return Tagged(key)
            self.at += 1
            empty = self.at == len(self.text) or (
                ends_a_word(self.text[self.at]) and self.text[self.at] != '"'
            )
            return Tagged(key, Pattern("") if empty else self.value("", "a value of the tag"))
        return self.state()

    def state(self) -> InState:
        start, named = self.at, self.word()
        self.boundary()
        for state in STATES:
            if named == state:
                return InState(state)
        raise self.error(
            f"{named!r} is no state" if named else "names no state",
            ", ".join(STATES),
            near_miss(named, STATES, "state:{}"),
            at=start,
        )

    def value(self, stop: str, expected: str) -> Pattern:
        """A quoted text, or the bare word until `stop`."""
        start = self.at
        if self.text[start : start + 1] == '"':
            found = Pattern(self.quoted())
            if self.text[self.at : self.at + 1] not in (stop or " "):
                self.boundary()
            return found
        word = self.word(stop)
        if not word:
            raise self.error("names nothing", expected, at=start)
        if self.text[self.at : self.at + 1] not in (stop or " "):
            self.boundary()
        return _bare(word)

    def quoted(self) -> str:
        opened = self.at
        found: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            one = self.text[self.at]
            self.at += 1
            if one == '"':
                return "".join(found)
            if one == "\\":
                one = self.text[self.at : self.at + 1]
                if one not in ('"', "\\"):
                    raise self.error(
                        "a backslash stands before another character", '\\" or \\\\', at=self.at - 1
                    )
                self.at += 1
            found.append(one)
        raise self.error("the quotation is not closed", 'a second "', at=opened)

    def word(self, stop: str = "") -> str:
        """The characters from here to the next blank, parenthesis, quotation mark or `stop`."""
        start = self.at
        while self.at < len(self.text) and not ends_a_word(self.text[self.at]) and self.text[self.at] != stop:
            self.at += 1
        return self.text[start : self.at]

    def took(self, keyword: str) -> bool:
        """Whether the keyword is next; if so, moves past it."""
        self.blanks()
        start = self.at
        if self.word(":").lower() == keyword and self.text[self.at : self.at + 1] != ":":
            self.blanks()
            return True
        self.at = start
        return False

    def blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def boundary(self) -> None:
        """Raises for a quotation mark in the middle of a word,
        because it is not clear what it would quote."""
        if self.at < len(self.text) and not (self.text[self.at].isspace() or self.text[self.at] in "()"):
            raise self.error(
                f"found {self.text[self.at]!r} inside a word", "quotes around the whole name or value"
            )

    def after_a_term(self, expected: str) -> SelectionError:
        start, word = self.at, self.word()
        hint = near_miss(word, KEYWORDS[:2]) or "write `and` or `or` between two terms"
        return self.error(
            f"found {word or self.text[start]!r} after a complete term", expected, hint, at=start
        )

    def error(
        self, problem: str, expected: str, next_step: str | None = None, *, at: int | None = None
    ) -> SelectionError:
        return SelectionError(
            self.text, self.at if at is None else at, problem, expected=expected, next_step=next_step
        )


def _bare(word: str) -> Pattern:
    return Pattern(word, glob=bool(set("*?") & set(word)))
