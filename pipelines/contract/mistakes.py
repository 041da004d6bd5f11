"""The exception that carries a schema mistake from where it is seen to the field that reports it."""


class SchemaMistakeError(Exception):
    """Stops the parsing of one type; caught at its field, so that the other fields are looked at too."""

    def __init__(self, problem: str, allowed: str | None = None, next_step: str | None = None) -> None:
        super().__init__(problem)
        self.problem, self.allowed, self.next_step = problem, allowed, next_step
