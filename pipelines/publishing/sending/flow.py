"""How much one transaction may hold where a client quota of the brokers throttles the producer."""

from pipelines.run_events import Said, Tell
from resources.kafka.errors import ProducerThrottled

# A transaction of this length ends well within the time that brokers leave it.
_SECONDS = 4.0
_SHORT_SECONDS, _LONG_SECONDS = _SECONDS / 2, _SECONDS * 2
# As much as the client's queue takes: a transaction never has more than that on its way.
_WHOLE_QUEUE = 64 << 20
# The first guess is for a transaction of which nothing was acknowledged, so that its pace is not known.
_FIRST_GUESS, _LEAST = 1 << 20, 16 << 10
_MOST_FAILURES = 6


class Flow:
    """The flow of one run to its topic: unlimited until a transaction could not end in time."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._said = tell, False
        self._failures = 0
        self.most_bytes: int | None = None
        """The most that the next transaction may hold; None: no limit."""

    def say(self, window: str, what: str) -> None:
        """Say once in a run what the quota does, and what an operator can do."""
        if not self._said:
            self._said = True
            told = f"{what}; with --max-bytes-per-second below the quota no record is sent twice"
            self._tell(Said(window=window, text=told))

    def slowed(self, slow: ProducerThrottled, sent_bytes: int, window: str) -> None:
        """A transaction was given up, of which `sent_bytes` were acknowledged. Raises `slow` where smaller transactions
        were given up before."""
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
        """A transaction held so much and was open for so long."""
        self._failures = 0
        if self.most_bytes is None:
            return
        if seconds > _LONG_SECONDS:
            self.most_bytes = max(_LEAST, self.most_bytes // 2)
        elif seconds < _SHORT_SECONDS and sent_bytes * 2 >= self.most_bytes:
            # Brokers let a client that was quiet send more at first, so the pace of one transaction may be too high.
            doubled = self.most_bytes * 2
            self.most_bytes = doubled if doubled < _WHOLE_QUEUE else None
