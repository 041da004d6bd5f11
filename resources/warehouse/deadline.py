"""Until when queries may run: for a look at a warehouse that must not take long, whatever the query is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from resources.warehouse.errors import WarehouseError


class TookTooLong(WarehouseError):
    """A query was cancelled because its time was over. It may be a good query of a large table."""


class Deadline:
    """The time that the queries of one warehouse have; unlimited outside of `within`."""

    def __init__(self) -> None:
        self._ends: float | None = None
        self._seconds = 0.0

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """See Warehouse. Inside another one, the earlier end counts."""
        before = self._ends, self._seconds
        ends = time.monotonic() + seconds
        if self._ends is None or ends < self._ends:
            self._ends, self._seconds = ends, seconds
        try:
            yield
        finally:
            self._ends, self._seconds = before

    @property
    def seconds_left(self) -> float | None:
        """How long a query that starts now may run: above 0 where its time is over too; None for as long as it takes."""
        return None if self._ends is None else max(0.001, self._ends - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self._ends is not None and time.monotonic() >= self._ends

    def error(self, where: str) -> TookTooLong:
        """What to raise for a query that was cancelled for it."""
        return TookTooLong(
            where,
            f"the query was cancelled: it did not answer within {self._seconds:g} s",
            next_step="this look at the warehouse is bounded; a run waits as long as the query takes",
        )
