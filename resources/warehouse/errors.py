"""What a warehouse raises. See protocol.py for who catches it."""

from resources.errors import SluiceError


class WarehouseError(SluiceError):
    """The warehouse refused a query, or it does not exist."""


class QueryCancelled(WarehouseError):
    """A query was ended on purpose before it had answered."""

    def __init__(self, where: str, problem: str = "the query was cancelled") -> None:
        super().__init__(where, problem, next_step="run it again")


class OutOfOrder(WarehouseError):
    """Rows that were in order when they were checked came in another order, or there were more rows to sort
    than expected. The caller must stream them again; then they are sorted in the right way."""

    def __init__(
        self, where: str, problem: str = "the query's rows came in another order than a moment before"
    ) -> None:
        super().__init__(where, problem, next_step="materialize the window again")
