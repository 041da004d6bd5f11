"""One window's publication: read the ledger, claim the window, read the ledger again, decide, send, until
nothing is left to do.

The window's mode says what to do with it (publish, replay, redrive). The order of the steps is the same for
all modes, and this file holds it from top to bottom. It is also the same for a plan, whose delivery sends
nothing.
"""

import time
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from pipelines.ledger.entry import LedgerDamaged, LedgerEntry
from pipelines.ledger.history import displaced, following
from pipelines.ledger.topic_identity import topic_remade
from pipelines.publishing.context import PublishContext, Sending
from pipelines.publishing.ledger_lookup import Found
from pipelines.publishing.next_generation.decision import Decision
from pipelines.publishing.next_generation.generation_planner import Planned
from pipelines.publishing.outcome import none_selected, nothing_done, published
from pipelines.publishing.result import PublishResult
from pipelines.publishing.sending.sender import Progress
from pipelines.publishing.stored_rows import rows_without_events
from pipelines.run_events import Said
from resources.kafka.topics.ledger_topic import LedgerBlocked

# Longer than the commit of a running run takes.
_PATIENCE_SECONDS = 2.0


class Mode(Protocol):
    """What to do with one window on `topic`."""

    topic: str

    cheap: bool
    """Whether `decide` reads no rows, so that it may be called once more."""

    def decide(self, found: Found) -> Decision:
        """What to do, given the newest committed entry. May raise if there is nothing to do it with."""

    def plan(self, decision: Decision, found: Found) -> Planned | None:
        """The next generation, with its rows stored; None if there is nothing to send (a replay of some
        events that selects none of the window). Not called if a generation must be finished first."""

    def target(self, found: Found) -> str:
        """The hash of the snapshot whose rows would be published."""

    def rows_read(self, entry: LedgerEntry) -> int:
        """The number of rows of the snapshot that `entry` publishes, or published."""


class WindowPublisher:
    """Does once with `window` what `mode` says."""

    def __init__(self, context: PublishContext, window: str, mode: Mode) -> None:
        self._context, self._window, self._mode = context, window, mode
        self._event, self._platform = context.event, context.platform

    def publish(self) -> PublishResult:
        """Publish the window completely. Raises what Publisher.publish raises."""
        started = time.monotonic()
        result = self._without_claim()
        if result is None:
            with self._context.delivery.claimed(self._window, self._mode.topic) as sending:
                result = self._claimed(sending, started)
        if result.published or result.rows_read:
            return result
        sourced = rows_without_events(self._platform, self._event.full_name, self._window, result.snapshot)
        return replace(result, rows_sourced=sourced)

    def _without_claim(self) -> PublishResult | None:
        """Reading the ledger first needs no producer; most windows of a repeated backfill end here."""
        if self._surely_something():
            return None
        # If a killed run's open transaction hides the end of the ledger, the claim aborts it,
        # sooner than the brokers would.
        with suppress(LedgerBlocked):
            found = self._found(patience_seconds=_PATIENCE_SECONDS)
            decision = self._mode.decide(found)
            if decision.action == "nothing":
                return self._nothing(decision, found)
        return None

    def _surely_something(self) -> bool:
        """Whether there was something to do when the ledger was last read, so that it need not be read before
        the claim. After the claim it is read in any case."""
        if not self._mode.cheap:
            return False
        try:
            read, entry = self._context.entries.known(self._window, self._mode.topic)
        except LedgerDamaged:
            return False  # an earlier read; the record may be sound now
        return read and self._mode.decide(Found(entry, None)).action != "nothing"

    def _claimed(self, sending: Sending, started: float) -> PublishResult:
        """Decide and send until nothing is left. No other run can commit to this window any more."""
        done: list[Progress] = []
        while True:
            # Read again: another run could commit until the claim.
            found = self._found()
            decision = self._mode.decide(found)
            if not done:
                self._meet_expectation(decision, found)
            planned = self._planned(decision, found)
            if planned is None:
                if done:
                    return self._result(replace(decision, action="finish"), done, 0, sending, started)
                if decision.action == "nothing":
                    return self._nothing(decision, found)
                return none_selected(decision, found.entry, topic=self._mode.topic)
            if decision.action != "backfill":
                told = f"{decision.action}, generation {decision.generation}: {decision.because}"
                self._context.tell(Said(window=self._window, text=told))
            done += sending.send(planned.entry)
            if decision.action != "finish":
                return self._result(decision, done, planned.gone, sending, started)

    def _planned(self, decision: Decision, found: Found) -> Planned | None:
        """The generation to send, or the rest of one; None if there is nothing to send."""
        entry = found.entry
        if decision.action == "nothing":
            return None
        if entry is not None and decision.action in ("resume", "finish"):
            return self._context.planner.going_on(entry)
        planned = self._mode.plan(decision, found)
        return replace(planned, entry=following(planned.entry, entry)) if planned else None

    def _found(self, **patience: float) -> Found:
        found = self._context.entries.newest(self._window, self._mode.topic, **patience)
        if found.entry is None or found.remade is None:
            return found
        if not self._context.request.replays_whole:
            raise topic_remade(found.entry, found.remade)
        # The topic was created again, so it holds nothing of what the entry published. The entry is kept as
        # history, and its records are not searched on the topic.
        return Found(displaced(found.entry), found.remade)

    def _meet_expectation(self, decision: Decision, found: Found) -> None:
        expectation = self._context.expectation
        if expectation.asks(decision):
            where, target = f"{self._event.full_name} {self._window}", self._mode.target(found)
            expectation.meet(where, self._window, found.entry, decision, target)

    def _nothing(self, decision: Decision, found: Found) -> PublishResult:
        self._meet_expectation(decision, found)
        entry = found.entry
        assert entry is not None, "the table of decisions has no nothing for nothing"
        return nothing_done(decision, entry, rows_read=self._mode.rows_read(entry), topic=self._mode.topic)

    def _result(
        self, decision: Decision, done: list[Progress], gone: int, sending: Sending, started: float
    ) -> PublishResult:
        return published(
            decision,
            done,
            rows_read=self._mode.rows_read(done[-1].entry),
            gone=gone,
            seconds=time.monotonic() - started,
            encoding=sending.encoding,
            topic=self._mode.topic,
        )
