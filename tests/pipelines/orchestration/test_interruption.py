"""A run that must stop stops, even if the signal arrives while a client's C code runs."""

from dagster._core.errors import DagsterExecutionInterruptedError

from resources.process.interruption import interruption


def test_an_interruption_is_found_behind_what_a_client_made_of_it() -> None:
    try:
        try:
            raise DagsterExecutionInterruptedError
        except BaseException as stop:
            raise SystemError("returned a result with an exception set") from stop
    except SystemError as error:
        assert isinstance(interruption(error), DagsterExecutionInterruptedError)


def test_an_ordinary_error_is_none() -> None:
    try:
        try:
            raise ValueError
        except ValueError as cause:
            raise SystemError from cause
    except SystemError as error:
        assert interruption(error) is None
