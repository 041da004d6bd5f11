"""A rate limit that holds over any length of time, except for the one transaction in progress."""

import time
from collections.abc import Callable


class Rate:
    """At most `per_second` rows or bytes: after an amount was sent, the next one waits for the time that the
    amount needs.

    Time in which less was sent gives no credit, so the limit holds before a wait as well as after it. In any
    span of time at most `per_second` times its length is sent, and in addition one transaction at either end.
    """

    def __init__(self, per_second: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._began = self._paid_at = clock()

    def wait_seconds(self) -> float:
        """How many seconds until the next transaction may begin."""
        return max(0.0, self._paid_at - self._clock())

    def begin(self) -> None:
        """Called when a transaction begins; its own time counts."""
        self._began = self._clock()

    def sent(self, amount: int) -> None:
        """Called with the amount that the transaction held."""
        self._paid_at = max(self._paid_at, self._began) + amount / self.per_second

    def most(self, seconds: float) -> int:
        """How much a transaction of `seconds` may hold."""
        return max(1, int(self.per_second * seconds))
