"""What a warehouse raises; who catches it: see protocol.py."""

from resources.errors import SluiceError


class WarehouseError(SluiceError):
    """The warehouse refused a query or is not there."""


class QueryCancelled(WarehouseError):
    """A query was ended on purpose before it had answered."""

    def __init__(self, where: str, problem: str = "the query was cancelled") -> None:
        super().__init__(where, problem, next_step="run it again")


class OutOfOrder(WarehouseError):
    """Rows that were in order when they were looked at came in another one, or more were to be sorted than thought.
    Streamed again, they are sorted as they must be."""

    def __init__(
        self, where: str, problem: str = "the query's rows came in another order than a moment before"
    ) -> None:
        super().__init__(where, problem, next_step="materialize the window again")
