"""One window's publication: ask the ledger, claim the window, ask again, decide, send, until nothing is left to do.

What is to become of the window is its mode's to say (publish, replay, redrive). In which order it is asked, claimed,
decided and sent is the same for all of them, and stands here from top to bottom; it is the same for a plan, whose
deliveries go nowhere.
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

# Longer than the commit of a run that lives.
_PATIENCE_SECONDS = 2.0


class Mode(Protocol):
    """What is to become of one window on `topic`."""

    topic: str

    cheap: bool
    """Whether it decides without looking at rows, so that it may be asked once more."""

    def decide(self, found: Found) -> Decision:
        """What to do, by the newest committed entry. May raise where there is nothing to do it with."""

    def plan(self, decision: Decision, found: Found) -> Planned | None:
        """The next generation, its rows stored; None where it would hold no record and tell nobody anything. Not asked
        where a generation is to be finished first."""

    def target(self, found: Found) -> str:
        """Hash of the snapshot whose rows would go out."""

    def rows_read(self, entry: LedgerEntry) -> int:
        """Rows of the snapshot that `entry` publishes, or published."""


class WindowPublisher:
    """Does with `window` what `mode` says, once."""

    def __init__(self, context: PublishContext, window: str, mode: Mode) -> None:
        self._context, self._window, self._mode = context, window, mode
        self._event, self._platform = context.event, context.platform

    def publish(self) -> PublishResult:
        """To its end. Raises what Publisher.publish does."""
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
        """Asking the ledger first costs no producer; most windows of a repeated backfill end here."""
        if self._surely_something():
            return None
        # Where a killed run's transaction hides the ledger's end, the claim ends that, sooner than the brokers would.
        with suppress(LedgerBlocked):
            found = self._found(patience_seconds=_PATIENCE_SECONDS)
            decision = self._mode.decide(found)
            if decision.action == "nothing":
                return self._nothing(decision, found)
        return None

    def _surely_something(self) -> bool:
        """Whether there was something to do when the ledger was last read, so that it need not be asked before the claim.
        It is asked behind it, whatever is said here."""
        if not self._mode.cheap:
            return False
        try:
            read, entry = self._context.entries.known(self._window, self._mode.topic)
        except LedgerDamaged:
            return False  # of then; asked again, it may be sound
        return read and self._mode.decide(Found(entry, None)).action != "nothing"

    def _claimed(self, sending: Sending, started: float) -> PublishResult:
        """Decide and send until nothing is left, now that no other run can commit to this window any more."""
        done: list[Progress] = []
        while True:
            # Asked again: until the claim, another run could commit.
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
        """The generation to send, or the rest of one; None where there is nothing to send."""
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
        # Of what was on the topic before it was made again nothing is there: to be remembered, and not to be looked for.
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
