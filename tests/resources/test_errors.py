"""What a user reads: where, what, what is allowed, what next."""

from resources.errors import SluiceError, TransientError, did_you_mean


def test_an_error_says_where_what_what_is_allowed_and_what_next() -> None:
    error = SluiceError("topic flights.v1", "is gone", allowed="a topic", next_step="create it")
    assert str(error) == "topic flights.v1: is gone; allowed: a topic; next: create it"
    assert (error.where, error.problem, error.allowed, error.next_step) == (
        "topic flights.v1",
        "is gone",
        "a topic",
        "create it",
    )


def test_parts_that_are_missing_leave_no_trace() -> None:
    assert str(TransientError("kafka", "does not answer")) == "kafka: does not answer"


def test_near_misses_are_suggested_and_far_ones_are_not() -> None:
    assert did_you_mean("flightid", ["flight_id", "carrier"]) == " Did you mean 'flight_id'?"
    assert did_you_mean("weather", ["flight_id", "carrier"]) == ""
