"""A time limit for queries, for a look at a warehouse that must be short, whatever the query is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from resources.warehouse.errors import WarehouseError


class TookTooLong(WarehouseError):
    """A query was cancelled because its time was over. The query may be good, and its table large."""


class Deadline:
    """The time limit for the queries of one warehouse; there is no limit outside of `within`."""

    def __init__(self) -> None:
        self._ends: float | None = None
        self._seconds = 0.0

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """See Warehouse. If one block is inside another one, the earlier end counts."""
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
        """The seconds that a query may run if it starts now; None for no limit. Above
        0 even if the time is over."""
        return None if self._ends is None else max(0.001, self._ends - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self._ends is not None and time.monotonic() >= self._ends

    def error(self, where: str) -> TookTooLong:
        """The error for a query that was cancelled because its time was over."""
        return TookTooLong(
            where,
            f"the query was cancelled: it did not answer within {self._seconds:g} s",
            next_step="this look at the warehouse is bounded; a run waits as long as the query takes",
        )
