"""Calls of code that an author wrote: it may print, and it may raise anything."""


class OutOfTime(BaseException):
    """The time for an author's code is over. No Exception, so that the code's own `except Exception` lets it pass."""


def asks_to_stop(error: BaseException | None) -> bool:
    """Whether an error that came out of an author's code is none of his: memory, Ctrl-C, the end of the run,
    or of the time that a check has.

    Python's own list of such errors does not do: Rust's panics, a cancelled task and `sys.exit()` are no `Exception`, and
    a request to stop that arrives within C code comes out as a SystemError.
    """
    while error is not None:
        if isinstance(error, MemoryError | KeyboardInterrupt | OutOfTime):
            return True
        # DagsterExecutionInterruptedError; the rules import no orchestrator.
        if not isinstance(error, Exception) and type(error).__module__.partition(".")[0] == "dagster":
            return True
        error = error.__cause__ or error.__context__
    return False
