"""How long a check waits for the warehouse, and how long for an event's own code:
each has its own time limit."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType

import pandas as pd

from pipelines.authoring.event import Event
from pipelines.authoring.loading.alarm import alarm
from pipelines.transform.authors_code import OutOfTime
from pipelines.transform.transformer import Transform
from resources.warehouse import TookTooLong, Warehouse

QUERY_SECONDS = 10.0
TRANSFORM_SECONDS = 15.0


class Asking:
    """One time limit for all queries of a warehouse together: use `with asking:` around each query. The time
    between queries does not count. When the time is used up, TookTooLong is raised, and no more query is
    started."""

    def __init__(self, warehouse: Warehouse, seconds: float = QUERY_SECONDS) -> None:
        self._warehouse, self._seconds, self._left = warehouse, seconds, seconds
        self._bounds = ExitStack()
        self._began = 0.0

    def __enter__(self) -> None:
        if self._left <= 0:
            raise self._over("no query was started, because earlier ones used the time up")
        self._began = time.monotonic()
        self._bounds.enter_context(self._warehouse.within(self._left))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bounds.close()
        self._left -= time.monotonic() - self._began
        if isinstance(error, TookTooLong):
            self._left = 0.0
            raise self._over("a query was cancelled") from None

    def _over(self, told: str) -> TookTooLong:
        return TookTooLong(
            "check",
            f"{told}; all queries of an event together get {self._seconds:g} s in a check",
            next_step="a run waits for a query for as long as it takes; shorter windows or an index make it faster",
        )


class Calls:
    """Calls of one event's transform, with one time limit for all of them together.

    If the time ends during a call, the call is interrupted if that is possible: in the main thread, between
    two steps of Python. `used`: seconds used so far.
    """

    def __init__(self, seconds: float = TRANSFORM_SECONDS) -> None:
        self.seconds = seconds
        self.used = 0.0

    @property
    def left(self) -> float:
        """The seconds that are left."""
        return max(0.0, self.seconds - self.used)

    def of(self, event: Event) -> Event:
        """The event, with a transform that is called within this time limit. A call raises OutOfTime."""
        transform = event.transform
        return (
            event if transform is None else replace(event, transform=lambda rows: self._call(transform, rows))
        )

    def kept(self, event: Event) -> tuple[Event, Event]:
        """The event as `of` returns it, and one whose transform returns the first one's results for the same
        rows of the window, without another call."""
        transform = event.transform
        if transform is None:
            return event, event
        made: dict[tuple[int, int], pd.DataFrame | Exception] = {}

        def call(rows: pd.DataFrame) -> pd.DataFrame:
            place = rows.index[0], len(rows)
            try:
                result = self._call(transform, rows)
            except Exception as error:
                made[place] = error
                raise
            # A copy: the module may keep a reference to the frame and change it.
            made[place] = result.copy() if isinstance(result, pd.DataFrame) else result
            return result

        def repeat(rows: pd.DataFrame) -> pd.DataFrame:
            place = rows.index[0], len(rows)
            if place not in made:
                return self._call(transform, rows)
            found = made[place]
            if isinstance(found, Exception):
                raise found
            return found

        return replace(event, transform=call), replace(event, transform=repeat)

    def _call(self, transform: Transform, rows: pd.DataFrame) -> pd.DataFrame:
        with self.counted():
            return transform(rows)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """The time in this block counts as time of the author's code. Raises OutOfTime."""
        if not self.left:
            raise OutOfTime
        began = time.monotonic()
        with alarm(self.left, OutOfTime) as rang:
            try:
                yield
            except BaseException:
                if rang:  # whatever exception the author's code made of it
                    raise OutOfTime from None
                raise
            finally:
                self.used += time.monotonic() - began
