"""Publishes windows of one event exactly once, and again on purpose.

Each transaction holds records of the event and one ledger record that says how far the window is, so
there is no instant at which one exists without the other. A run that dies leaves a committed prefix; the
next run reads the ledger and continues behind it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.encoding import RecordEncoder
from pipelines.preflight.fitness import require_fit
from pipelines.publishing.decision import Decision, decide, decide_redrive, decide_replay
from pipelines.publishing.entry import LedgerEntry, ledger_key, read_entry
from pipelines.publishing.generations import following
from pipelines.publishing.outgoing import Outgoing
from pipelines.publishing.planning import NeverPublished, Planned, Planner
from pipelines.publishing.preflight import fit_topic, registered_schema_id
from pipelines.publishing.redriving import Redriver, Repair
from pipelines.publishing.result import PublishResult
from pipelines.publishing.sending import Pace, Progress, Sender, Unlimited
from pipelines.publishing.standby import Standby
from pipelines.publishing.stored import NotPublishable, stored_snapshot
from pipelines.publishing.wish import Redrive, Replay, Wish
from resources.errors import SluiceError
from resources.kafka.ledger import LedgerHeldBack
from resources.kafka.topics import Topic
from resources.kafka.transactions import Delivered, TransactionalProducer
from resources.memory import give_back
from resources.platform import Platform
from resources.snapshots import Snapshot

if TYPE_CHECKING:
    from pipelines.publishing.staleness.guard import StaleGuard

_FEW_RECORDS = 1_000
# Longer than the commit of a run that lives.
_PATIENCE_SECONDS = 2.0


class PlanOutdated(SluiceError):
    """A window is not as the plan that is applied found it; nothing of it was written."""


class Publisher:
    """Publishes windows of `event` as `wish` says; one per run, reused for the run's windows."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        *,
        run_id: str,
        wish: Wish | None = None,
        pace: Pace | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._event, self._platform = event, platform
        self._settings, self._store = platform.settings, platform.snapshots
        self._say = say
        self._run_id = run_id
        self._wish = wish or Wish()
        if self._wish.replay is not None:
            self._wish.replay.require_shadow(event.topic, self._settings.ledger_topic)
        self._pace = pace or Unlimited()
        self._topic: Topic | None = None
        self._behind: dict[str, str] = {}
        self._standby = Standby()
        self._few = False
        self._stale: StaleGuard | None = None
        self._free_shadow: str | None = None
        self._planner = Planner(
            event,
            platform,
            self._wish,
            run_id=run_id,
            schema_id=lambda: self._schema_id,
            encoder=lambda: self._encoder,
        )

    def require_fit(self, windows: Sequence[Window]) -> None:
        """The preflight of all windows of a run, in time order. Raises PreflightFailed with everything that does not
        hold, before any of them is begun; PassingFault where Kafka or the registry does not answer."""
        topic = self._wish.replay.topic if self._wish.replay else None
        fit = require_fit(self._event, self._platform, windows, topic=topic, say=self._say)
        self._topic = fit.topic
        self._behind = {window.key: behind.key for window, behind in pairwise(windows)}
        if fit.schema_id is not None:
            self._schema_id = fit.schema_id

    @cached_property
    def _schema_id(self) -> int:
        return registered_schema_id(self._event, self._platform)

    @cached_property
    def _encoder(self) -> RecordEncoder:
        event = self._event
        return RecordEncoder(
            event.contract,
            schema_id=self._schema_id,
            topic=event.topic,
            key=event.key,
            event_id=event.event_id,
        )

    def publish(self, window: str) -> PublishResult:
        """Do with the window what is wished: make the topic hold exactly its current validated snapshot, or replay it.

        Raises NotPublishable, PreflightFailed, DefinitionChanged, NeverPublished, TakenOver (all: nothing written by
        this run since its last commit) and PassingFault (try again: it continues).
        """
        try:
            result = self._published(window)
        finally:
            # Nobody has taken it: the window had nothing to do, or could not be published.
            self._standby.close()
        give_back(result.published)
        # As in its last window. Where that is wrong, batches are smaller until the producer has a queue.
        self._few = result.published < _FEW_RECORDS
        # Most windows of a repeated backfill have nothing to do, and need no producer.
        if result.transactions:
            self._stand_by(window)
        return result

    def _stand_by(self, window: str) -> None:
        """Make ready the producer of the run's window behind this one."""
        behind, fit = self._behind.get(window), self._topic
        if behind is not None and fit is not None:
            topic = self._wish.replay.topic if self._wish.replay else None
            topic = topic or self._event.topic
            self._standby.prepare(ledger_key(topic, behind), partial(self._made, behind, topic, fit))

    def _producer(self, window: str, topic: str, fit: Topic) -> TransactionalProducer:
        """The producer that fences every other one of the window as soon as it has claimed it."""
        return self._standby.take(ledger_key(topic, window)) or self._made(window, topic, fit)

    def _made(self, window: str, topic: str, fit: Topic) -> TransactionalProducer:
        return TransactionalProducer(
            self._settings,
            f"{self._settings.code_location}|{ledger_key(topic, window)}",
            event=self._event.full_name,
            window=window,
            topic=topic,
            max_message_bytes=fit.max_message_bytes,
            kafka_partitions=fit.partitions,
            few=self._few,
        )

    def _published(self, window: str) -> PublishResult:
        replay = self._wish.replay
        if self._wish.redrive is not None:
            return self._redrive(window, self._wish.redrive)
        if replay is None:
            return _Publishing(self, window).run()
        if replay.source == "fresh" and not replay.selection.everything and replay.topic is None:
            # What changed goes out as a correction first, so that the snapshot that is replayed from is the topic's.
            corrected = _Correcting(self, window).run()
            return _Replaying(self, window, replace(replay, source="stored")).run().after(corrected)
        return _Replaying(self, window, replay).run()

    def _redrive(self, window: str, redrive: Redrive) -> PublishResult:
        """Publish what a blocked window never published, or the repaired rows of one that was published without them.

        Raises Blocked, CannotRedrive and what a publication raises.
        """
        redriver = Redriver(
            self._event, self._platform, lambda: self._encoder, run_id=self._run_id, force=redrive.force
        )
        unblocked = redriver.unblock(window)
        if unblocked is None:
            return _Redriving(self, window, redriver).run()
        entry = self.ledger(window) if unblocked.as_by else None
        wish = replace(self._wish, redrive=None)
        if entry is not None and entry.code_version == unblocked.as_by:
            # It was published by the version that blocked it: but for the repaired rows there is nothing to ask about.
            wish = replace(wish, on_definition_change="correct")
        done = unblocked.done
        with Publisher(
            self._event, self._platform, run_id=self._run_id, wish=wish, pace=self._pace, say=self._say
        ) as publisher:
            return replace(publisher.publish(window), transformed=done, dead=done.dead)

    def _guard(self, topic: str, kafka_partitions: int) -> "StaleGuard | None":
        if self._event.stale_writes == "allow":
            return None
        if self._stale is None:
            # Here: it needs a database that other events do not.
            from pipelines.publishing.staleness.guard import StaleGuard

            self._stale = StaleGuard(self._event, self._platform, topic, kafka_partitions, say=self._say)
        return self._stale

    def close(self) -> None:
        """Free what was opened for the run's windows."""
        self._standby.close()
        if self._stale is not None:
            self._stale.close()
            self._stale = None

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ledger(self, window: str, topic: str | None = None, **patience: float) -> LedgerEntry | None:
        """The newest committed entry of a window on the event's topic, or a shadow of it. Raises TopicOfAnother."""
        own = self._event.topic
        key = ledger_key(topic or own, window)
        entry = read_entry(key, self._platform.ledger.latest(key, **patience))
        if entry is not None:
            entry.require_of(own, replayed_to=topic if topic != own else None)
        return entry

    def _require_free_shadow(self, topic: str) -> None:
        """Raise TopicOfAnother where the topic that is replayed to has other events, whatever their window."""
        if self._free_shadow == topic:
            return
        for key, value in self._platform.ledger.entries():
            if key.startswith(f"{topic}|") and (entry := read_entry(key, value)) is not None:
                entry.require_of(self._event.topic, replayed_to=topic)
        self._free_shadow = topic


class _Window:
    """One window's publication: ask the ledger, claim the window, ask again, send, until nothing is left to do."""

    def __init__(self, publisher: Publisher, window: str) -> None:
        self._publisher, self._window = publisher, window
        self._event, self._platform = publisher._event, publisher._platform
        self._planner, self._wish = publisher._planner, publisher._wish
        self._settings, self._run_id = publisher._settings, publisher._run_id
        self._topic = self._event.topic
        self._encoding = ""

    def run(self) -> PublishResult:
        started = time.monotonic()
        self._prepare()
        # Asking the ledger first costs no producer; most windows of a repeated backfill end here. Where a killed
        # run's transaction hides the ledger's end, the claim below ends that, sooner than the brokers would.
        if not self._surely_something():
            with suppress(LedgerHeldBack):
                entry = self._entry(patience_seconds=_PATIENCE_SECONDS)
                decision = self._decide(entry)
                if decision.action == "nothing":
                    return self._nothing(decision, entry)
        with self._publisher._producer(self._window, self._topic, self._fit()) as producer:
            producer.claim()
            guard = self._publisher._guard(self._topic, self._fit().partitions)
            sender = Sender(
                self._settings, producer, pace=self._publisher._pace, guard=guard, say=self._publisher._say
            )
            done: list[Progress] = []
            while True:
                # Again, now that no other run can commit to this window any more.
                entry = self._entry()
                decision = self._decide(entry)
                if not done:
                    self._check_plan(entry, decision)
                if decision.action == "nothing":
                    if done:
                        finished = replace(decision, action="finish")
                        return self._result(finished, done, 0, time.monotonic() - started)
                    return self._nothing(decision, entry)
                planned: Planned | None
                if entry is not None and decision.action in ("resume", "finish"):
                    planned = self._planner.going_on(entry)
                elif planned := self._plan(decision, entry):
                    planned = replace(planned, entry=following(planned.entry, entry))
                elif done:
                    return self._result(
                        replace(decision, action="finish"), done, 0, time.monotonic() - started
                    )
                else:
                    return self._unselected(decision, entry)
                if decision.action != "backfill":
                    self._publisher._say(
                        f"{self._window}: {decision.action}, generation {decision.generation}: {decision.because}"
                    )
                done += self._sent(sender, planned.entry, guard)
                if decision.action != "finish":
                    return self._result(decision, done, planned.gone, time.monotonic() - started)

    def _sent(self, sender: Sender, entry: LedgerEntry, guard: "StaleGuard | None") -> list[Progress]:
        """Send a generation to its end; in parts where other producers write the same topic meanwhile."""
        parts: list[Progress] = []
        while True:
            entry = guard.refined(entry) if guard else entry
            self._platform.snapshots.settle(entry.event, entry.window)
            outgoing = Outgoing(self._event, self._platform, entry)
            self._encoding = outgoing.encoding
            with closing(outgoing.records()) as records:
                parts.append(sender.send(entry, records))
            entry = parts[-1].entry
            if entry.complete:
                return parts

    def _check_plan(self, entry: LedgerEntry | None, decision: Decision) -> None:
        """Raise PlanOutdated where a plan is applied and the window is not as the plan found it."""
        if self._wish.expected is None or decision.action == "nothing":
            return
        expected = self._wish.expected.get(self._window)
        where = f"{self._event.full_name} {self._window}"
        if expected is None:
            raise PlanOutdated(where, "is not part of the plan", next_step="plan it too")
        target = self._target(entry)
        if target != expected.snapshot:
            raise PlanOutdated(
                where,
                f"its rows have changed since the plan: snapshot {target[:12]}, planned {(expected.snapshot or 'none')[:12]}",
                next_step="plan again; nothing of this window was published",
            )
        found = (entry.generation, entry.rows_done) if entry else (0, 0)
        # What stopped on the way to the same rows is completed: also a run of this plan that is retried.
        on_its_way = decision.action == "resume" and found[0] <= expected.generation + 1
        if found != (expected.generation, expected.rows_done) and not (
            on_its_way or (entry and entry.run_id == self._run_id)
        ):
            raise PlanOutdated(
                where,
                f"has been published since the plan: the ledger is at generation {found[0]}, {found[1]:,} records; the "
                f"plan found generation {expected.generation}, {expected.rows_done:,} records",
                next_step="plan again; nothing of this window was published by this run",
            )

    def _target(self, entry: LedgerEntry | None) -> str:
        """Hash of the snapshot whose rows would go out."""
        return entry.snapshot if entry else ""

    def _prepare(self) -> None:
        raise NotImplementedError

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        raise NotImplementedError

    def _surely_something(self) -> bool:
        """Whether there was something to do when the ledger was last read, so that it need not be asked before the claim.
        It is asked behind it, whatever is said here."""
        return False

    def _plan(self, decision: Decision, entry: LedgerEntry | None) -> Planned | None:
        """The next generation; None where it would hold no record and tell nobody anything."""
        raise NotImplementedError

    def _rows_read(self, entry: LedgerEntry) -> int:
        raise NotImplementedError

    def _fit(self) -> Topic:
        # By the name of the topic that is published to, which for a replay may be a shadow topic.
        publisher, event = self._publisher, replace(self._event, topic=self._topic)
        first_event_time = self._event.windows.window(self._window).start
        publisher._topic = fit_topic(
            event, self._platform, first_event_time=first_event_time, known=publisher._topic
        )
        return publisher._topic

    def _entry(self, **patience: float) -> LedgerEntry | None:
        return self._publisher.ledger(self._window, self._topic, **patience)

    def _nothing(self, decision: Decision, entry: LedgerEntry | None) -> PublishResult:
        assert entry is not None, "the table of decisions has no nothing for nothing"
        rows = self._rows_read(entry)
        return PublishResult(
            action="nothing",
            because=decision.because,
            generation=decision.generation,
            snapshot=entry.snapshot,
            schema_id=entry.schema_id,
            rows_read=rows,
            skipped=rows,
            topic=self._topic,
        )

    def _unselected(self, decision: Decision, entry: LedgerEntry | None) -> PublishResult:
        return PublishResult(
            action="nothing",
            because="none of its events is selected",
            generation=entry.generation if entry else decision.generation - 1,
            snapshot=entry.snapshot if entry else "",
            schema_id=entry.schema_id if entry else 0,
            rows_read=0,
            topic=self._topic,
        )

    def _result(self, decision: Decision, done: list[Progress], gone: int, seconds: float) -> PublishResult:
        # An interrupted generation that was finished first counts too: this run published it.
        last = done[-1]
        delivered = Delivered()
        for progress in done:
            delivered.merge(progress.delivered)
        rows = self._rows_read(last.entry)
        parts = [progress for progress in done if progress.entry.generation == last.entry.generation]
        sent = sum(progress.delivered.records - progress.tombstones for progress in parts)
        return PublishResult(
            action=decision.action,
            because=decision.because,
            generation=last.entry.generation,
            snapshot=last.entry.snapshot,
            schema_id=last.entry.schema_id,
            rows_read=rows,
            published=delivered.records,
            tombstones=sum(progress.tombstones for progress in done),
            skipped=rows - sent,
            stale=last.entry.stale,
            gone=gone,
            bytes_sent=sum(progress.bytes_sent for progress in done),
            transactions=sum(progress.transactions for progress in done),
            seconds=seconds,
            encoding=self._encoding,
            offsets=delivered.offsets,
            topic=self._topic,
            entry=last.entry,
        )


class _Publishing(_Window):
    """Makes the topic hold the window's current validated snapshot."""

    def _prepare(self) -> None:
        self._snapshot, self._facts = validated(self._event, self._platform, self._window)

    def _target(self, entry: LedgerEntry | None) -> str:  # noqa: ARG002
        return self._snapshot.sha256

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        return decide(entry, self._snapshot.sha256)

    def _surely_something(self) -> bool:
        key = ledger_key(self._topic, self._window)
        read, value = self._platform.ledger.known(key)
        return read and self._decide(read_entry(key, value)).action != "nothing"

    def _plan(self, decision: Decision, entry: LedgerEntry | None) -> Planned:
        return self._planner.publication(decision, entry, self._window, self._snapshot, self._facts)

    def _rows_read(self, entry: LedgerEntry) -> int:  # noqa: ARG002
        return self._snapshot.rows


class _Correcting(_Publishing):
    """The same, of a window that is to be replayed: one that was never published is not."""

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        if entry is None:
            raise _never_published(self._event, self._window)
        return super()._decide(entry)

    def _surely_something(self) -> bool:
        return False


class _Replaying(_Window):
    """Publishes the window's events again, or some of them."""

    def __init__(self, publisher: Publisher, window: str, replay: Replay) -> None:
        super().__init__(publisher, window)
        self._replay = replay
        self._topic = self._replay.topic or self._event.topic
        self._shadow = self._topic != self._event.topic
        self._snapshot: Snapshot | None = None

    def _prepare(self) -> None:
        if self._shadow:
            self._publisher._require_free_shadow(self._topic)
        if self._replay.source == "fresh":
            self._snapshot, self._facts = validated(self._event, self._platform, self._window)

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        if entry is None and not self._shadow:
            raise _never_published(self._event, self._window)
        decision = decide_replay(entry, self._replay.request)
        if decision.action != "replay":
            return decision
        by = f" by {self._wish.requested_by}" if self._wish.requested_by else ""
        return replace(decision, because=f"{decision.because}{by}: {self._wish.reason}")

    def _plan(self, decision: Decision, entry: LedgerEntry | None) -> Planned | None:
        planner, window = self._planner, self._window
        if self._snapshot is not None:
            if entry is not None and not self._shadow:
                return planner.replay_fresh(
                    decision, entry, window, self._snapshot, self._facts, self._replay
                )
            origin: LedgerEntry | None = planner.fresh_origin(decision, window, self._snapshot, self._facts)
        else:
            origin = self._publisher.ledger(window) if self._shadow else entry
        if origin is None:
            raise _never_published(self._event, self._window)
        planned = planner.replay(decision, origin, self._replay, topic=self._topic)
        # A key that is sought in a year of windows leaves no mark on those without it.
        return planned if planned.entry.rows_total or planned.entry.selection is None else None

    def _target(self, entry: LedgerEntry | None) -> str:
        if self._snapshot is not None:
            return self._snapshot.sha256
        origin = self._publisher.ledger(self._window) if self._shadow else entry
        return origin.snapshot if origin else ""

    def _rows_read(self, entry: LedgerEntry) -> int:
        return entry.rows_total


class _Redriving(_Window):
    """Publishes the rows of a published window that did not fit the contract and now do."""

    def __init__(self, publisher: Publisher, window: str, redriver: Redriver) -> None:
        super().__init__(publisher, window)
        self._redriver = redriver
        self._tried: tuple[str, int] | None = None
        self._repair: Repair | None = None

    def run(self) -> PublishResult:
        result = super().run()
        repair = self._repair
        return replace(result, transformed=repair.done, dead=repair.dead) if repair else result

    def _prepare(self) -> None:
        pass

    def _decide(self, entry: LedgerEntry | None) -> Decision:
        if entry is None:
            raise NeverPublished(
                f"{self._event.full_name} {self._window}",
                "was never published, and no dead letters keep it from that",
                next_step=f"sluice publish {self._event.full_name} {self._window}",
            )
        state = (entry.snapshot, entry.generation)
        if entry.complete and self._tried != state:
            self._repair, self._tried = self._redriver.repair(entry), state
        repair = self._repair
        return decide_redrive(entry, repair.rows if repair else None, repair.told if repair else "")

    def _plan(self, decision: Decision, entry: LedgerEntry | None) -> Planned:  # noqa: ARG002
        assert self._repair is not None
        self._redriver.settle(self._window, self._repair)
        return self._planner.redrive(decision, self._window, self._repair)

    def _rows_read(self, entry: LedgerEntry) -> int:
        return stored_snapshot(self._platform, entry, "transformed", entry.snapshot).rows


def _never_published(event: Event, window: str) -> NeverPublished:
    return NeverPublished(
        f"{event.full_name} {window}",
        f"was never published to {event.topic}, so there is nothing to replay",
        next_step=f"sluice publish {event.full_name} {window}",
    )


def validated(event: Event, platform: Platform, window: str) -> tuple[Snapshot, dict[str, Any]]:
    """The window's current transformed snapshot and its validation. Raises NotPublishable unless it passed."""
    name, store = event.full_name, platform.snapshots
    snapshot = store.current(name, window, "transformed")
    if snapshot is None:
        raise NotPublishable(
            f"{name} {window}",
            "has no transformed snapshot",
            next_step="materialize sourced and transformed first",
        )
    facts = store.validation(name, window, snapshot.sha256)
    if not facts or not facts.get("passed"):
        raise NotPublishable(
            f"{name} {window}",
            f"its snapshot {snapshot.sha256[:12]} did not pass its checks: {(facts or {}).get('reason', 'no validation')}",
            next_step="see the dead letters in the metadata of the transformed asset, mend the module, materialize again",
        )
    if facts.get("contract") != event.contract.fingerprint:
        raise NotPublishable(
            f"{name} {window}",
            "was transformed under another version of the contract",
            next_step="materialize transformed again",
        )
    return snapshot, facts


__all__ = ["NeverPublished", "NotPublishable", "Publisher", "validated"]
