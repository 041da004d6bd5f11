"""The pace of a run's publications: rate limits, consumer groups and the operator's commands together."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from pipelines.authoring.limits import Limits
from pipelines.ledger.entry import LedgerEntry
from pipelines.pacing.hold import Cancelled, Hold
from pipelines.pacing.lag import Groups, LagBrake
from pipelines.pacing.rate import Rate
from pipelines.publishing.sending.sender import Allowance
from pipelines.run_events import Cause, Paused, RunEvent, Said, Tell, Waiting, WentOn, duration

# One transaction holds what a limit allows in this time.
_CHUNK_SECONDS = 1.0
# How soon a wait notices the operator, or Ctrl-C in a terminal.
_LOOK_SECONDS = 0.5
_SAY_EVERY_SECONDS = 30.0


class Operator(Protocol):
    """The commands of the person who looks after the run."""

    def hold(self) -> Hold | None:
        """The pause, if the run is paused."""

    def cancelled_by(self) -> str | None:
        """Who has cancelled the run, if anyone."""


class Unattended:
    """An operator who never pauses or cancels."""

    def hold(self) -> Hold | None:
        return None

    def cancelled_by(self) -> str | None:
        return None


class Pacer:
    """The pace of one run. It reports when a wait begins, every 30 s during the wait, and when it ends."""

    def __init__(
        self,
        limits: Limits,
        *,
        groups: Callable[[], Groups],
        operator: Operator | None = None,
        transaction_seconds: float = _CHUNK_SECONDS,
        tell: Tell = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._limits, self._make_groups = limits, groups
        self._operator = operator or Unattended()
        self._chunk_seconds = min(_CHUNK_SECONDS, transaction_seconds)
        self._tell, self._clock, self._sleep = tell, clock, sleep
        self._rows = Rate(limits.rows_per_second, clock=clock) if limits.rows_per_second else None
        self._bytes = Rate(limits.bytes_per_second, clock=clock) if limits.bytes_per_second else None
        self._lag: LagBrake | None = None
        self._told_of: tuple[str, int] | None = None
        self.waited: dict[str, float] = defaultdict(float)
        """Seconds waited so far, by cause."""

    def before(self, entry: LedgerEntry) -> Allowance:
        """Wait until the next transaction may begin.
        Raises Cancelled, and SluiceError if a group's lag cannot be read."""
        brakes = self._brakes(entry)
        self._wait(entry.window, brakes, lambda: _done(entry))
        for rate in (self._rows, self._bytes):
            if rate is not None:
                rate.begin()
        rows = [] if self._rows is None else [self._rows.most(self._chunk_seconds)]
        if self._lag is not None:
            rows.append(self._lag.most_rows())
        most_bytes = None if self._bytes is None else self._bytes.most(self._chunk_seconds)
        return Allowance(min(rows, default=None), most_bytes)

    def sent(self, rows: int, sent_bytes: int) -> None:
        """Called after a commit, with what the transaction held."""
        if self._rows is not None:
            self._rows.sent(rows)
        if self._bytes is not None:
            self._bytes.sent(sent_bytes)
        if self._lag is not None:
            self._lag.sent(rows)

    def between(self, what: str, done: str) -> None:
        """Called between windows, or while the run waits for something else:
        waits while the run is paused. Raises Cancelled."""
        self._wait(what, [self._operator.hold], lambda: done)

    def close(self) -> None:
        """Free the clients that read consumers' lag."""
        if self._lag is not None:
            self._lag.close()

    def renew(self) -> None:
        """Close the connection to the consumer groups; the next reading opens a new one."""
        self.close()
        self._lag = None

    def _brakes(self, entry: LedgerEntry) -> list[Callable[[], Hold | None]]:
        brakes: list[Callable[[], Hold | None]] = [self._operator.hold]
        # The groups of the limits read the event's own topic. No group is known to read a shadow topic.
        if self._limits.lag and entry.shadow_of is None:
            if self._lag is None:
                self._lag = LagBrake(
                    entry.topic,
                    self._limits.lag,
                    self._make_groups(),
                    tell=lambda event: self._tell(replace(event, window=entry.window)),
                    clock=self._clock,
                )
            brakes.append(self._lag.hold)
        return [*brakes, lambda: self._rate_hold(entry)]

    def _rate_hold(self, entry: LedgerEntry) -> Hold | None:
        seconds = max((rate.wait_seconds() for rate in (self._rows, self._bytes) if rate), default=0.0)
        if seconds <= 0:
            return None
        # Said once for each publication of several transactions: a run that is slow on purpose says so.
        if entry.rows_done and self._told_of != (entry.window, entry.generation):
            self._told_of = (entry.window, entry.generation)
            self._tell(Said(window=entry.window, text=self._slow(entry)))
        return Hold("rate", "", seconds)

    def _slow(self, entry: LedgerEntry) -> str:
        left = entry.rows_total - entry.rows_done
        told, seconds = [], 0.0
        if self._rows is not None:
            told.append(f"{self._rows.per_second:,} rows/s")
            seconds = left / self._rows.per_second
        if self._bytes is not None:
            told.append(f"{self._bytes.per_second:,} bytes/s")
            seconds = max(seconds, left * entry.bytes_done / entry.rows_done / self._bytes.per_second)
        return f"limited to {' and '.join(told)}: {left:,} records to go, about {duration(seconds)}"

    def _wait(self, what: str, brakes: Sequence[Callable[[], Hold | None]], done: Callable[[], str]) -> None:
        began = said = None
        cause: Cause | None = None
        while True:
            by = self._operator.cancelled_by()
            if by is not None:
                raise Cancelled(by, done())
            hold = next((found for brake in brakes if (found := brake()) is not None), None)
            if hold is not None and hold.text:
                now = self._clock()
                began = now if began is None else began
                if said is None or hold.cause != cause or now - said >= _SAY_EVERY_SECONDS:
                    self._tell(_waiting(what, hold, now - began))
                    said, cause = now, hold.cause
            if hold is None:
                if began is not None:
                    self._tell(WentOn(window=what, cause=cause or "other", seconds=self._clock() - began))
                return
            at = self._clock()
            self._sleep(min(max(hold.seconds, 0.001), _LOOK_SECONDS))
            self.waited[hold.cause] += self._clock() - at


def _done(entry: LedgerEntry) -> str:
    return f"{entry.rows_done:,} of {entry.rows_total:,} records of {entry.window} are committed"


def _waiting(what: str, hold: Hold, seconds: float) -> RunEvent:
    if hold.cause == "operator":
        return Paused(window=what, by=hold.by, run_id=hold.run_id, seconds=seconds)
    return Waiting(window=what, cause=hold.cause, what=hold.text, seconds=seconds)
