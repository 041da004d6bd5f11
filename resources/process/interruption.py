"""Whether an error is a request to stop."""


def interruption(error: BaseException | None) -> BaseException | None:
    """The request to stop behind an error: one that arrives within a client's C code comes out as a SystemError."""
    while error is not None:
        if not isinstance(error, Exception):
            return error
        error = error.__cause__ or error.__context__
    return None
