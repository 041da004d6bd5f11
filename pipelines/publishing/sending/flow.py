"""How much one transaction may hold if a client quota of the brokers throttles the producer."""

from pipelines.run_events import Said, Tell
from resources.kafka.errors import ProducerThrottled

# A transaction of this length ends well before the brokers' time limit.
_SECONDS = 4.0
_SHORT_SECONDS, _LONG_SECONDS = _SECONDS / 2, _SECONDS * 2
# The size of the client's queue: a transaction never has more bytes in flight.
_WHOLE_QUEUE = 64 << 20
# The first guess is used if nothing of the transaction was acknowledged, so that its rate is not known.
_FIRST_GUESS, _LEAST = 1 << 20, 16 << 10
_MOST_FAILURES = 6


class Flow:
    """The limit for one run and its topic: none until a transaction could not end in time."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._said = tell, False
        self._failures = 0
        self.most_bytes: int | None = None
        """The most bytes that the next transaction may hold; None: no limit."""

    def say(self, window: str, what: str) -> None:
        """Say once in a run what the quota does, and what an operator can do."""
        if not self._said:
            self._said = True
            told = f"{what}; with --max-bytes-per-second below the quota no record is sent twice"
            self._tell(Said(window=window, text=told))

    def slowed(self, slow: ProducerThrottled, sent_bytes: int, window: str) -> None:
        """Called after a transaction was given up, of which `sent_bytes` were acknowledged. Raises `slow` if
        several smaller transactions were given up before."""
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            raise slow
        before = self.most_bytes or _FIRST_GUESS
        most = int(sent_bytes / slow.seconds * _SECONDS) if slow.records else before // 4
        if self.most_bytes:
            most = min(most, before // 2)
        self.most_bytes = max(_LEAST, most)
        self.say(window, f"{slow.problem}; smaller transactions follow")

    def committed(self, sent_bytes: int, seconds: float) -> None:
        """Called after a commit: the transaction held `sent_bytes` and was open for `seconds`."""
        self._failures = 0
        if self.most_bytes is None:
            return
        if seconds > _LONG_SECONDS:
            self.most_bytes = max(_LEAST, self.most_bytes // 2)
        elif seconds < _SHORT_SECONDS and sent_bytes * 2 >= self.most_bytes:
            # Brokers allow a client that was quiet to send more at first,
            # so the rate of one transaction may be too high.
            doubled = self.most_bytes * 2
            self.most_bytes = doubled if doubled < _WHOLE_QUEUE else None
