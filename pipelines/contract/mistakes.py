"""The exception that carries a mistake in a schema from the place where it is found
to the field that reports it."""


class SchemaMistakeError(Exception):
    """Stops the parsing of one type. It is caught at its field, so that the other fields are checked, too."""

    def __init__(self, problem: str, allowed: str | None = None, next_step: str | None = None) -> None:
        super().__init__(problem)
        self.problem, self.allowed, self.next_step = problem, allowed, next_step
