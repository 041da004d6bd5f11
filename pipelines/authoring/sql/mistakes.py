"""Mistakes in an event's SQL, with their place in it."""

from typing import NamedTuple


class SqlMistake(NamedTuple):
    """`offset` counts characters of the SQL without its indentation."""

    offset: int
    problem: str
    allowed: str | None = None
    next_step: str | None = None


class SqlMistakes(Exception):
    """Everything that is wrong with one SQL text."""

    def __init__(self, *mistakes: SqlMistake) -> None:
        self.mistakes = mistakes
        super().__init__("; ".join(mistake.problem for mistake in mistakes))
