"""Calls of an author's code: it may print, and it may raise anything."""


class OutOfTime(BaseException):
    """The time for an author's code is over. It is not an Exception, so that the code's own `except
    Exception` does not catch it."""


def asks_to_stop(error: BaseException | None) -> bool:
    """Whether an error that came out of an author's code is not the author's: it is about memory, a Ctrl-C,
    the end of the run, or the end of the time that a check has.

    Python's own classes do not answer this. Rust's panics, a cancelled task and `sys.exit()` are not
    `Exception`; and a request to stop that arrives inside C code becomes a SystemError.
    """
    while error is not None:
        if isinstance(error, MemoryError | KeyboardInterrupt | OutOfTime):
            return True
        # DagsterExecutionInterruptedError, by its module: this package does not import an orchestrator.
        if not isinstance(error, Exception) and type(error).__module__.partition(".")[0] == "dagster":
            return True
        error = error.__cause__ or error.__context__
    return False
