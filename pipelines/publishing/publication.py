"""One window's publication: ask the ledger, claim the window, ask again, send, until nothing is left to do.

What is to be done is the wish's (convergence, replay, redrive). In which order it is asked, claimed, decided and sent
is the same for all of them, and stands here.
"""

import time
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pipelines.publishing.as_planned import require_as_planned
from pipelines.publishing.decision import Decision
from pipelines.publishing.entry import LedgerDamaged, LedgerEntry, read_entry
from pipelines.publishing.generations import following
from pipelines.publishing.identity import stamped
from pipelines.publishing.outcome import none_selected, nothing_done, published
from pipelines.publishing.outgoing import Outgoing
from pipelines.publishing.planning import Planned
from pipelines.publishing.result import PublishResult
from pipelines.publishing.run import Run
from pipelines.publishing.sending import Progress, Sender
from pipelines.publishing.stored import rows_without_events
from resources.errors import PassingFault, SluiceError
from resources.kafka.ledger import LedgerHeldBack
from resources.kafka.transactions import TransactionalProducer

if TYPE_CHECKING:
    from pipelines.publishing.staleness.guard import StaleGuard

# Longer than the commit of a run that lives.
_PATIENCE_SECONDS = 2.0
# Each leaves its records in the log, for the brokers to hide from every consumer.
_MOST_ABORTS = 20


class NotSettling(PassingFault):
    """Transactions are aborted again and again; what is committed stands."""


class Publication:
    """Publishes `window` to `topic`, once. What is decided and planned is said by those derived from it."""

    def __init__(self, run: Run, window: str, topic: str) -> None:
        self._run, self._window, self._topic = run, window, topic
        self._event, self._platform = run.event, run.platform
        self._encoding = ""

    def publish(self) -> PublishResult:
        """To its end. Raises what Publisher.publish does."""
        result = self._published()
        if result.published or result.rows_read:
            return result
        sourced = rows_without_events(self._platform, self._event.full_name, self._window, result.snapshot)
        return replace(result, rows_sourced=sourced)

    def _published(self) -> PublishResult:
        started = time.monotonic()
        self._prepare()
        unclaimed = self._nothing_without_claim()
        if unclaimed is not None:
            return unclaimed
        fit = self._run.fit_topic(self._window, self._topic)
        with self._run.producers.take(self._window, self._topic, fit) as producer:
            producer.claim()
            return self._claimed(producer, started)

    def _prepare(self) -> None:
        """What must be there before the ledger is asked."""

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        """What to do, by the newest committed entry."""
        raise NotImplementedError

    def _plan(self, decision: Decision, entry: LedgerEntry | None) -> Planned | None:
        """The next generation; None where it would hold no record and tell nobody anything."""
        raise NotImplementedError

    def _target(self, entry: LedgerEntry | None) -> str:
        """Hash of the snapshot whose rows would go out."""
        return entry.snapshot if entry else ""

    def _rows_read(self, entry: LedgerEntry) -> int:
        """Rows of the snapshot that `entry` publishes, or published."""
        raise NotImplementedError

    def _surely_something(self) -> bool:
        """Whether there was something to do when the ledger was last read, so that it need not be asked before the claim.
        It is asked behind it, whatever is said here."""
        return False

    def _nothing_without_claim(self) -> PublishResult | None:
        """Asking the ledger first costs no producer; most windows of a repeated backfill end here."""
        if self._surely_something():
            return None
        # Where a killed run's transaction hides the ledger's end, the claim ends that, sooner than the brokers would.
        with suppress(LedgerHeldBack):
            entry = self._entry(patience_seconds=_PATIENCE_SECONDS)
            decision = self._decide(entry)
            if decision.action == "nothing":
                return self._nothing(decision, entry)
        return None

    def _claimed(self, producer: TransactionalProducer, started: float) -> PublishResult:
        """Decide and send until nothing is left, now that no other run can commit to this window any more."""
        run = self._run
        done: list[Progress] = []
        while True:
            # Asked again: until the claim, another run could commit.
            entry = self._entry()
            decision = self._decide(entry)
            if not done:
                self._require_as_planned(entry, decision)
            planned = self._planned(decision, entry)
            if planned is None:
                if done:
                    return self._result(replace(decision, action="finish"), done, 0, started)
                if decision.action == "nothing":
                    return self._nothing(decision, entry)
                return none_selected(decision, entry, topic=self._topic)
            if decision.action != "backfill":
                run.say(
                    f"{self._window}: {decision.action}, generation {decision.generation}: {decision.because}"
                )
            guard = run.guard(self._topic, planned.entry)
            sender = Sender(
                run.settings,
                producer,
                pace=run.pace,
                flow=run.flow,
                guard=guard,
                topic_id=run.presence.before_commit,
                say=run.say,
            )
            done += self._sent(sender, planned.entry, guard)
            if decision.action != "finish":
                return self._result(decision, done, planned.gone, started)

    def _require_as_planned(self, entry: LedgerEntry | None, decision: Decision) -> None:
        plan = self._run.wish.expected
        if plan is None or decision.action == "nothing":
            return
        require_as_planned(
            f"{self._event.full_name} {self._window}",
            plan.get(self._window),
            entry,
            decision,
            lambda: self._target(entry),
            run_id=self._run.run_id,
        )

    def _planned(self, decision: Decision, entry: LedgerEntry | None) -> Planned | None:
        """The generation to send, or the rest of one; None where there is nothing to send."""
        if decision.action == "nothing":
            return None
        if entry is not None and decision.action in ("resume", "finish"):
            return self._run.planner.going_on(entry)
        planned = self._plan(decision, entry)
        return replace(planned, entry=following(planned.entry, entry)) if planned else None

    def _sent(self, sender: Sender, entry: LedgerEntry, guard: "StaleGuard | None") -> list[Progress]:
        """Send a generation to its end; in parts where other producers write the same topic meanwhile."""
        parts: list[Progress] = []
        fruitless = 0
        entry = stamped(entry, self._run.identity)
        self._require_readable(entry)
        while True:
            entry = guard.refined(entry) if guard else entry
            # The ledger must not name what a crash of the machine could still take back.
            self._platform.snapshots.settle(entry.event, entry.window)
            outgoing = Outgoing(self._event, self._platform, entry)
            outgoing.require_timestamps()
            self._encoding = outgoing.encoding
            with closing(outgoing.records()) as records:
                parts.append(sender.send(entry, records))
            if parts[-1].transactions:
                self._run.presence.committed(parts[-1].entry)
            if parts[-1].entry.complete:
                return parts
            fruitless = fruitless + 1 if not parts[-1].transactions else 0
            if fruitless == _MOST_ABORTS:
                raise NotSettling(
                    f"{entry.event} {entry.window}",
                    f"{_MOST_ABORTS} transactions in a row were aborted, because newer values of their keys came before them "
                    f"on {entry.topic}: other producers write these keys faster than this run can compare them",
                    next_step="launch again when the other producers are quieter, or with a smaller SLUICE_TRANSACTION_ROWS",
                )
            entry = parts[-1].entry

    def _require_readable(self, entry: LedgerEntry) -> None:
        """What is written must be read by the next run, or the window could never be published again."""
        try:
            read_entry(entry.key, entry.to_json())
        except LedgerDamaged as error:
            raise SluiceError(
                f"{entry.event} {entry.window}",
                f"its ledger record could not be read again: {error.problem}",
                next_step="nothing was written; please report this as a defect",
            ) from None

    def _entry(self, **patience: float) -> LedgerEntry | None:
        return self._run.ledger(self._window, self._topic, **patience)

    def _nothing(self, decision: Decision, entry: LedgerEntry | None) -> PublishResult:
        assert entry is not None, "the table of decisions has no nothing for nothing"
        return nothing_done(decision, entry, rows_read=self._rows_read(entry), topic=self._topic)

    def _result(self, decision: Decision, done: list[Progress], gone: int, started: float) -> PublishResult:
        seconds = time.monotonic() - started
        return published(
            decision,
            done,
            rows_read=self._rows_read(done[-1].entry),
            gone=gone,
            seconds=seconds,
            encoding=self._encoding,
            topic=self._topic,
        )
