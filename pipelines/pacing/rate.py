"""A rate that holds over any length of time, but for the one transaction that is under way."""

import time
from collections.abc import Callable


class Rate:
    """At most `per_second` rows or bytes: what was sent is paid for in time, before the next is sent.

    There is no credit for time in which less was sent, so a limit is no more in force before a wait than after it:
    in any span of time at most `per_second` times its length is sent, and one transaction besides at either end.
    """

    def __init__(self, per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._began = self._paid_at = clock()

    def wait_seconds(self) -> float:
        """How long until the next transaction may begin."""
        return max(0.0, self._paid_at - self._clock())

    def begin(self) -> None:
        """A transaction begins now; the time it takes counts."""
        self._began = self._clock()

    def sent(self, amount: int) -> None:
        """The transaction held so much."""
        self._paid_at = max(self._paid_at, self._began) + amount / self.per_second

    def most(self, seconds: float) -> int:
        """What a transaction of `seconds` may hold."""
        return max(1, int(self.per_second * seconds))
