"""Publishes windows of one event exactly once.

Each transaction holds records of the event and one ledger record that says how far the window is, so
there is no instant at which one exists without the other. A run that dies leaves a committed prefix; the
next run reads the ledger and continues behind it.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain
from typing import Any, Literal

from pipelines.authoring.event import Event
from pipelines.encoding import RecordEncoder
from pipelines.publishing.correction import DefinitionChanged, prepare_correction
from pipelines.publishing.decision import Decision, decide
from pipelines.publishing.entry import LedgerEntry, ledger_key, read_entry
from pipelines.publishing.outgoing import Outgoing, Record
from pipelines.publishing.preflight import fit_topic, registered_schema_id
from pipelines.publishing.result import PublishResult
from resources.errors import SluiceError
from resources.kafka.ledger import LedgerHeldBack, ledger_partition
from resources.kafka.topics import Topic
from resources.kafka.transactions import Delivered, TransactionalProducer
from resources.platform import Platform
from resources.snapshots import Snapshot

OnDefinitionChange = Literal["ask", "correct"]

_SAY_EVERY_SECONDS = 5.0
# Longer than the commit of a run that lives.
_PATIENCE_SECONDS = 2.0


class NotPublishable(SluiceError):
    """The window has no snapshot that may be published; nothing was written."""


@dataclass
class _Progress:
    """What this run has committed of one generation."""

    entry: LedgerEntry
    delivered: Delivered
    bytes_sent: int = 0
    tombstones: int = 0
    transactions: int = 0


class Publisher:
    """Publishes windows of `event`; one per run, reused for the run's windows."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        *,
        run_id: str,
        reason: str | None = None,
        on_definition_change: OnDefinitionChange = "ask",
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._event, self._platform = event, platform
        self._settings, self._store = platform.settings, platform.snapshots
        self._run_id, self._reason, self._say = run_id, reason, say
        self._on_definition_change = on_definition_change
        self._topic: Topic | None = None

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

    @cached_property
    def _outgoing(self) -> Outgoing:
        source = f"/{self._settings.code_location}/{self._event.full_name}"
        return Outgoing(
            self._event, self._encoder, self._store, batch_rows=self._settings.batch_rows, source=source
        )

    def publish(self, window: str) -> PublishResult:
        """Make the topic hold exactly the window's current validated snapshot.

        Raises NotPublishable, PreflightFailed, DefinitionChanged, TakenOver (all: nothing written by this
        run since its last commit) and PassingFault (try again: it continues).
        """
        started = time.monotonic()
        snapshot, facts = self._validated(window)
        # Asking the ledger first costs no producer; most windows of a repeated backfill end here. Where a killed
        # run's transaction hides the ledger's end, the claim below ends that, sooner than the brokers would.
        with suppress(LedgerHeldBack):
            entry = self._ledger(window, patience_seconds=_PATIENCE_SECONDS)
            decision = decide(entry, snapshot.sha256)
            if decision.action == "nothing":
                return self._nothing(decision, snapshot, entry)
        first_event_time = self._event.windows.window(window).start
        self._topic = fit_topic(
            self._event, self._platform, first_event_time=first_event_time, known=self._topic
        )
        with TransactionalProducer(
            self._settings,
            f"{self._settings.code_location}|{ledger_key(self._event.topic, window)}",
            event=self._event.full_name,
            window=window,
            topic=self._event.topic,
            max_message_bytes=self._topic.max_message_bytes,
        ) as producer:
            producer.claim()
            done: list[_Progress] = []
            while True:
                # Again, now that no other run can commit to this window any more.
                entry = self._ledger(window)
                decision = decide(entry, snapshot.sha256)
                if decision.action == "nothing":
                    return self._nothing(decision, snapshot, entry)
                if decision.action != "backfill":
                    self._say(
                        f"{window}: {decision.action}, generation {decision.generation}: {decision.because}"
                    )
                planned, gone = self._planned(decision, entry, window, snapshot, facts)
                done.append(self._send(producer, planned))
                if decision.action != "finish":
                    return self._result(decision, snapshot, done, gone, time.monotonic() - started)

    def _validated(self, window: str) -> tuple[Snapshot, dict[str, Any]]:
        name = self._event.full_name
        snapshot = self._store.current(name, window, "transformed")
        if snapshot is None:
            raise NotPublishable(
                f"{name} {window}",
                "has no transformed snapshot",
                next_step="materialize sourced and transformed first",
            )
        facts = self._store.validation(name, window, snapshot.sha256)
        if not facts or not facts.get("passed"):
            raise NotPublishable(
                f"{name} {window}",
                f"its snapshot {snapshot.sha256[:12]} did not pass its checks: {(facts or {}).get('reason', 'no validation')}",
                next_step="see the dead letters in the metadata of the transformed asset, mend the module, materialize again",
            )
        if facts.get("contract") != self._event.contract.fingerprint:
            raise NotPublishable(
                f"{name} {window}",
                "was transformed under another version of the contract",
                next_step="materialize transformed again",
            )
        return snapshot, facts

    def _ledger(self, window: str, **patience: float) -> LedgerEntry | None:
        key = ledger_key(self._event.topic, window)
        return read_entry(key, self._platform.ledger.latest(key, **patience))

    def _planned(
        self,
        decision: Decision,
        entry: LedgerEntry | None,
        window: str,
        snapshot: Snapshot,
        facts: dict[str, Any],
    ) -> tuple[LedgerEntry, int]:
        """The ledger entry to work towards, rows_done being what is committed already; and rows gone."""
        if entry is not None and decision.action in ("resume", "finish"):
            return entry.advanced(run_id=self._run_id, schema_id=self._schema_id), 0
        fresh = LedgerEntry(
            event=self._event.full_name,
            window=window,
            topic=self._event.topic,
            generation=decision.generation,
            kind="backfill",
            status="publishing",
            snapshot=snapshot.sha256,
            rows_total=snapshot.rows,
            rows_done=0,
            code_version=facts["code_version"],
            contract=facts["contract"],
            schema_id=self._schema_id,
            run_id=self._run_id,
            written_at=_now(),
            reason=self._reason,
        )
        if entry is None:
            return fresh, 0
        planned, gone = prepare_correction(self._event, self._platform, self._encoder, fresh, entry, snapshot)
        redefined = (entry.code_version, entry.contract) != (planned.code_version, planned.contract)
        if redefined and planned.rows_total and self._on_definition_change == "ask":
            raise DefinitionChanged(self._event.full_name, window, planned.rows_total, snapshot.rows, gone)
        return planned, gone

    def _records(self, entry: LedgerEntry) -> Iterator[Record]:
        """The records of a generation that are not committed yet."""
        if entry.kind == "backfill":
            whole = self._stored(entry, "transformed", entry.snapshot)
            return self._outgoing.rows(whole, entry, entry.rows_done)
        delta = self._stored(entry, "correction", entry.delta)
        self._check_contract(entry, delta)
        changed = self._outgoing.rows(delta, entry, min(entry.rows_done, delta.rows))
        if entry.vanished is None:
            return changed
        vanished = self._stored(entry, "vanished", entry.vanished)
        return chain(
            changed, self._outgoing.tombstones(vanished, entry, max(0, entry.rows_done - delta.rows))
        )

    def _stored(self, entry: LedgerEntry, stage: str, sha256: str | None) -> Snapshot:
        found = self._store.find(entry.event, entry.window, stage, sha256 or "")
        if found is None:
            raise NotPublishable(
                f"{entry.event} {entry.window}",
                f"the {stage} snapshot {(sha256 or '')[:12]} that the ledger names is gone from {self._settings.snapshots}",
                next_step="restore the snapshot folder, or point SLUICE_SNAPSHOTS at the one that holds it",
            )
        # To the byte: what was validated, or prepared from it, is what is published.
        self._store.verify(found)
        return found

    def _check_contract(self, entry: LedgerEntry, delta: Snapshot) -> None:
        event = self._event
        rows = (event.contract.without(event.event_id) if event.event_id else event.contract).arrow_schema
        if not self._store.schema(delta).equals(rows):
            raise NotPublishable(
                f"{entry.event} {entry.window}",
                f"its correction, generation {entry.generation}, stopped after {entry.rows_done:,} of "
                f"{entry.rows_total:,} records and was prepared under another contract",
                next_step=f"publish the window with the module and contract of version {entry.code_version}, then "
                "again with these",
            )

    def _send(self, producer: TransactionalProducer, entry: LedgerEntry) -> _Progress:
        """Commit the remaining records of `entry`'s generation, and the ledger with each of them."""
        settings, event = self._settings, self._event
        progress = _Progress(entry, Delivered(offsets=_as_numbers(entry.offsets)))
        said = time.monotonic()
        producer.begin()
        began, in_transaction, bytes_open, tombstones_open = time.monotonic(), 0, 0, 0
        for record in self._records(entry):
            producer.produce(event.topic, record.key, record.value, record.headers, record.timestamp_ms)
            in_transaction += 1
            bytes_open += len(record.key) + len(record.value or b"")
            tombstones_open += record.value is None
            full = in_transaction >= settings.transaction_rows
            if full or (
                in_transaction % 256 == 0 and time.monotonic() - began >= settings.transaction_seconds
            ):
                self._commit(producer, progress, in_transaction, bytes_open, tombstones_open, last=False)
                if time.monotonic() - said > _SAY_EVERY_SECONDS:
                    said = time.monotonic()
                    done = progress.entry
                    self._say(f"{done.window}: {done.rows_done:,} of {done.rows_total:,} records committed")
                producer.begin()
                began, in_transaction, bytes_open, tombstones_open = time.monotonic(), 0, 0, 0
        self._commit(producer, progress, in_transaction, bytes_open, tombstones_open, last=True)
        return progress

    def _commit(
        self,
        producer: TransactionalProducer,
        progress: _Progress,
        records: int,
        bytes_sent: int,
        tombstones: int,
        *,
        last: bool,
    ) -> None:
        entry = progress.entry
        done = entry.rows_done + records
        delivered = producer.settle()
        if delivered.records != records or (last and done != entry.rows_total):
            raise SluiceError(
                f"{entry.event} {entry.window}",
                f"{records} records were sent and {delivered.records} acknowledged; {done} of {entry.rows_total} in all",
                next_step="the transaction is aborted; please report this as a defect",
            )
        progress.delivered.merge(delivered)
        entry = entry.advanced(
            rows_done=done,
            status="published" if last else "publishing",
            written_at=_now(),
            bytes_done=entry.bytes_done + bytes_sent,
            offsets={str(p): span for p, span in sorted(progress.delivered.offsets.items())},
        )
        ledger = self._settings.ledger_topic
        kafka_partition = ledger_partition(entry.key, self._settings.ledger_partitions)
        producer.record(ledger, kafka_partition, entry.key.encode(), entry.to_json())
        producer.commit()
        progress.entry = entry
        progress.bytes_sent += bytes_sent
        progress.tombstones += tombstones
        progress.transactions += 1

    def _nothing(self, decision: Decision, snapshot: Snapshot, entry: LedgerEntry | None) -> PublishResult:
        return PublishResult(
            action="nothing",
            because=decision.because,
            generation=decision.generation,
            snapshot=snapshot.sha256,
            schema_id=entry.schema_id if entry else 0,
            rows_read=snapshot.rows,
            skipped=snapshot.rows,
        )

    def _result(
        self, decision: Decision, snapshot: Snapshot, done: list[_Progress], gone: int, seconds: float
    ) -> PublishResult:
        # An interrupted correction that was finished first counts too: this run published it.
        last = done[-1]
        delivered = Delivered()
        for progress in done:
            delivered.merge(progress.delivered)
        return PublishResult(
            action=decision.action,
            because=decision.because,
            generation=last.entry.generation,
            snapshot=snapshot.sha256,
            schema_id=last.entry.schema_id,
            rows_read=snapshot.rows,
            published=delivered.records,
            tombstones=sum(progress.tombstones for progress in done),
            skipped=snapshot.rows - (last.delivered.records - last.tombstones),
            gone=gone,
            bytes_sent=sum(progress.bytes_sent for progress in done),
            transactions=sum(progress.transactions for progress in done),
            seconds=seconds,
            encoding=self._encoder.strategy,
            offsets=delivered.offsets,
        )


def _as_numbers(offsets: Any) -> dict[int, tuple[int, int]]:
    return {int(kafka_partition): (first, last) for kafka_partition, (first, last) in offsets.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
