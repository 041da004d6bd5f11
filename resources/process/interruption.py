"""Whether an error is a request to stop."""


def interruption(error: BaseException | None) -> BaseException | None:
    """The request to stop that caused an error, or None. If it arrives inside a client's C
    code, it becomes a SystemError."""
    while error is not None:
        if not isinstance(error, Exception):
            return error
        error = error.__cause__ or error.__context__
    return None
