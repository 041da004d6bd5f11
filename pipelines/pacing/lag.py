"""Consumer groups that must not fall too far behind: when to pause for them, and when to continue."""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from pipelines.authoring.limits import LagLimit
from pipelines.pacing.hold import Hold
from pipelines.run_events import Tell, Warned
from resources.errors import TransientError
from resources.kafka.reading.lag import GroupLag
from resources.wording import counted

_ASK_EVERY_SECONDS = 1.0
# If a group's commits do not move for this long while the publisher waits for it,
# it may have nothing left to read.
_STANDS_STILL_SECONDS = 10.0
# Brokers that restart answer again within this time. No transaction is open meanwhile.
_PATIENCE_SECONDS = 60.0
# Near its threshold, a group is approached in steps of the threshold divided by this.
_STEP = 20


class Groups(Protocol):
    """Reads the lag of consumer groups."""

    def lag(self, topic: str, group: str) -> GroupLag:
        """How far the group is behind. Raises SluiceError, and TransientError if a retry may help."""

    def nothing_left(self, topic: str, lag: GroupLag) -> bool:
        """True if the offsets that the group is behind hold no record that it could read."""

    def similar(self, group: str) -> str:
        """A hint at a group with a similar name, or an empty string."""

    def close(self) -> None:
        """Free the clients."""


class _Group:
    def __init__(self, name: str, limit: LagLimit, clock: Callable[[], float]) -> None:
        self.name, self.limit, self._clock = name, limit, clock
        self.records, self.paused = 0, False
        self._lag: GroupLag | None = None
        self._moved_at = clock()

    def heard(self, lag: GroupLag, nothing_left: Callable[[GroupLag], bool]) -> None:
        now = self._clock()
        if self._lag is None or lag.committed != self._lag.committed:
            self._moved_at = now
        self._lag, self.records = lag, lag.records
        if self.paused and now - self._moved_at >= _STANDS_STILL_SECONDS:
            self._moved_at = now
            if nothing_left(lag):
                # Only aborted records and transaction markers are left:
                # no consumer will ever commit an offset after them.
                self.records = 0
        at = self.limit.resume_at if self.paused else self.limit.pause_above
        self.paused = self.records > at


class LagBrake:
    """Pauses the publisher of `topic` while a named group is too far behind.

    The lag is read at most once a second. Between two readings, no more is sent than keeps every group within
    its threshold, or a twentieth of the threshold beyond it if the threshold is nearly reached. Other
    producers of the topic are not considered.
    """

    def __init__(
        self,
        topic: str,
        limits: Mapping[str, LagLimit],
        groups: Groups,
        *,
        tell: Tell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._topic, self._groups, self._tell, self._clock = topic, groups, tell, clock
        self._each = [_Group(name, limit, clock) for name, limit in limits.items()]
        self._asked_at: float | None = None
        self._failing_since: float | None = None
        self._sent = 0
        self._warned: set[str] = set()

    def hold(self) -> Hold | None:
        """Why not to send now; None if nothing prevents it. Raises SluiceError if a group's lag may not be
        read, or can no longer be read."""
        now = self._clock()
        if self._asked_at is None or now - self._asked_at >= _ASK_EVERY_SECONDS:
            self._asked_at = now
            if (silent := self._ask(now)) is not None:
                return silent
        if self._failing_since is not None:
            return Hold("consumer_lag", "", _ASK_EVERY_SECONDS)
        behind = [group for group in self._each if group.paused]
        if behind:
            told = "; ".join(
                f"consumer group {group.name} is {counted(group.records, 'record')} behind (pauses above "
                f"{group.limit.pause_above:,}, goes on at {group.limit.resume_at:,})"
                for group in behind
            )
            return Hold("consumer_lag", f"paused: {told}", _ASK_EVERY_SECONDS)
        if self._sent and self._headroom() < self._step():
            # As much was sent as the last reading allowed. The next one shows whether the groups keep up.
            return Hold("consumer_lag", "", self._asked_at + _ASK_EVERY_SECONDS - now)
        return None

    def close(self) -> None:
        """Free the clients."""
        self._groups.close()

    def most_rows(self) -> int:
        """How many rows a transaction may hold now."""
        return max(self._step(), self._headroom())

    def sent(self, rows: int) -> None:
        """Called after `rows` more rows were published."""
        self._sent += rows

    def _headroom(self) -> int:
        return min(group.limit.pause_above - group.records for group in self._each) - self._sent

    def _step(self) -> int:
        return max(1, min(group.limit.pause_above for group in self._each) // _STEP)

    def _ask(self, now: float) -> Hold | None:
        try:
            for group in self._each:
                lag = self._groups.lag(self._topic, group.name)
                self._warn(lag)
                group.heard(lag, lambda lag: self._groups.nothing_left(self._topic, lag))
        except TransientError as fault:
            self._failing_since = now if self._failing_since is None else self._failing_since
            if now - self._failing_since > _PATIENCE_SECONDS:
                raise
            return Hold(
                "consumer_lag",
                f"paused: how far consumers are behind cannot be asked: {fault}",
                _ASK_EVERY_SECONDS,
            )
        self._failing_since, self._sent = None, 0
        return None

    def _warn(self, lag: GroupLag) -> None:
        # On an empty topic no group has anything to commit.
        if lag.committed or not lag.records or lag.group in self._warned:
            return
        self._warned.add(lag.group)
        told = (
            f"consumer group {lag.group} has committed no offset of {self._topic}; it counts as behind by all of its "
            f"{counted(lag.records, 'record')}.{self._groups.similar(lag.group)}"
        )
        self._tell(Warned(text=told))
