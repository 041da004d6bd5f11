"""Finds out what a launch would do.
The launch runs on snapshots in a temporary folder, and what it would send is not sent."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.dry_run.changes import Side, changes, first_rows
from pipelines.dry_run.plan import WindowPlan
from pipelines.encoding import RecordEncoder, decode_record
from pipelines.encoding.plain_json import plain
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry, ledger_key
from pipelines.publishing.context import PublishContext
from pipelines.publishing.key_search import KeySearch
from pipelines.publishing.ledger_lookup import EntriesRead
from pipelines.publishing.next_generation.correction import DefinitionChanged
from pipelines.publishing.next_generation.expectation import Noted
from pipelines.publishing.publisher import do_as_requested
from pipelines.publishing.registered_contract import RegisteredContract
from pipelines.publishing.request import PlannedState, PublishRequest
from pipelines.publishing.result import PublishResult
from pipelines.publishing.sending.dry_delivery import DryDelivery, PlannedSend
from pipelines.publishing.stored_rows import (
    NotPublishable,
    contract_of,
    encoder_of,
    key_field,
    rows_of,
)
from pipelines.stages.source import source_window
from pipelines.stages.transform import Transformed, transform_window
from resources.errors import Problem, SluiceError, TransientError
from resources.follow_ups import follow_up
from resources.json_value import Json
from resources.platform import Platform
from resources.wording import headline

_EMPTY: dict[str, str] = {
    "no_rows": "the window has no rows",
    "no_events": "none of its rows became an event",
}
_RUN = "plan"


class DryRun:
    """Plans windows of `event` under `request`. `entries`: the ledger, by key; `damaged`: its records that
    cannot be read; `keys` are searched in the new rows. Writes nothing that outlives a call."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        request: PublishRequest,
        entries: Mapping[str, LedgerEntry],
        *,
        damaged: Mapping[str, LedgerDamaged] | None = None,
        shown: int = 3,
        keys: KeySearch | None = None,
    ) -> None:
        self._event, self._platform, self._request = event, platform, request
        self._entries, self._damaged, self._shown = entries, damaged or {}, shown
        self._keys = keys
        # A plan registers nothing.
        self._registered = RegisteredContract(event, platform, registering=False)
        if request.replay is not None:
            request.replay.require_shadow(event.topic, platform.settings)

    def windows(self, windows: Sequence[Window]) -> Iterator[WindowPlan]:
        """Each window's plan, in turn. If something would stop a window in a run, its plan says so, and the
        other windows are planned.

        Raises TransientError if the warehouse or Kafka does not answer, and TopicOfAnother for a shadow topic
        that holds somebody else's events.
        """
        if self._request.topic is not None:
            self._read(self._platform).require_free_shadow(self._request.topic)
        for window in windows:
            with self._platform.aside() as aside:
                planned = _Window(self, window, aside)
                try:
                    yield planned.plan()
                except TransientError:
                    raise
                except SluiceError as error:
                    entry = self._entries.get(ledger_key(self._event.topic, window.key))
                    found = PlannedState(None, *((entry.generation, entry.rows_done) if entry else (0, 0)))
                    yield WindowPlan(
                        window.key,
                        "refused",
                        headline(error.problem),
                        found,
                        dead=planned.dead,
                        refused=str(error),
                        problems=error.parts,
                    )

    def _read(self, platform: Platform) -> EntriesRead:
        return EntriesRead(self._event, platform, self._entries, self._damaged)


class _Window:
    def __init__(self, whole: DryRun, window: Window, aside: Platform) -> None:
        self._whole, self._window, self._platform = whole, window, aside
        self._event, self._request = whole._event, whole._request
        self._noted = Noted()
        self.dead = 0
        """Rows of the new snapshot that do not fit, even if the window is then refused."""
        entries = whole._read(aside)
        self._delivery = DryDelivery(aside, entries)
        # The difference is shown even if a run would ask first.
        # A correction before a replay or a redrive asks as in a run.
        self._asks = (
            self._request.on_definition_change == "ask"
            and self._request.replay is None
            and self._request.redrive is None
        )
        self._context = PublishContext(
            self._event,
            aside,
            replace(self._request, on_definition_change="correct") if self._asks else self._request,
            _RUN,
            entries,
            self._delivery,
            whole._registered,
            self._noted,
            lambda _: None,
        )

    def plan(self) -> WindowPlan:
        """The window's plan. Raises what a run would raise for this window before it publishes."""
        done, replay = None, self._request.replay
        if self._request.redrive is None and (replay is None or replay.source == "fresh"):
            done = self._made()
            self.dead = done.dead
            if not done.passed:
                return self._blocked(done)
            if self._whole._keys is not None:
                self._whole._keys.look(
                    self._platform.snapshots, done.snapshot, self._window.key, self._event.contract
                )
        result = do_as_requested(self._context, self._window.key)
        plan = self._described(result, self._delivery.sent[-1] if self._delivery.sent else None)
        plan = replace(plan, dead=done.dead if done else result.dead)
        if plan.records:
            return self._asked(plan, self._delivery.sent[-1])
        said = _EMPTY.get(result.outcome)
        because = f"{plan.because}; {said}" if said else plan.because
        return replace(plan, outcome=result.outcome, because=because)

    def _made(self) -> Transformed:
        source_window(self._event, self._window, self._platform, run_id=_RUN)
        return transform_window(self._event, self._window, self._platform, run_id=_RUN)

    def _blocked(self, done: Transformed) -> WindowPlan:
        name = f"{self._event.full_name} {self._window.key}"
        entry = self._context.entries.current(self._window.key, self._event.topic)
        found = PlannedState(
            done.snapshot.sha256, *((entry.generation, entry.rows_done) if entry else (0, 0))
        )
        refused = Problem(
            name, done.verdict, next_step=follow_up(f"sluice preview {name} shows the first of them")
        )
        return WindowPlan(
            self._window.key,
            "blocked",
            done.verdict,
            found,
            dead=done.dead,
            refused=str(refused),
            problems=(refused,),
        )

    def _asked(self, plan: WindowPlan, last: PlannedSend) -> WindowPlan:
        """`plan`, changed into a question if a run would ask about this window first."""
        before, entry = last.before, last.entry
        redefined = before is not None and (before.code_version, before.contract) != (
            entry.code_version,
            entry.contract,
        )
        if not (self._asks and redefined):
            return plan
        asked = DefinitionChanged(self._event.full_name, self._window.key, plan.records, plan.rows, plan.gone)
        return replace(plan, action="asks", refused=str(asked), problems=asked.parts)

    def _described(self, result: PublishResult, last: PlannedSend | None) -> WindowPlan:
        found = self._noted.found[self._window.key]
        plan = WindowPlan(
            self._window.key,
            result.action,
            result.because,
            found,
            result.generation,
            result.rows_read,
            result.published,
            result.tombstones,
            result.gone,
        )
        if last is None:
            return plan
        sent_bytes, sample = 0, list[tuple[bytes, Mapping[str, Any]]]()
        for one in self._delivery.sent:
            sent, sample = self._looked_at(one.entry)
            sent_bytes += sent
        return replace(
            plan,
            bytes=sent_bytes,
            sample=tuple(cast("dict[str, Json]", plain(record)) for _, record in sample),
            changes=self._changes(last.before, last.entry, sample) if result.action == "correct" else (),
        )

    def _looked_at(self, entry: LedgerEntry) -> tuple[int, list[tuple[bytes, Mapping[str, Any]]]]:
        """The bytes that an entry has not sent yet, and its first records with their keys."""
        store, snapshot = self._platform.snapshots, rows_of(self._platform, entry)
        sent_bytes, sample = 0, list[tuple[bytes, Mapping[str, Any]]]()
        encoder, schema_of = self._encoder(entry, store.schema(snapshot)), self._schema_of(entry)
        first = min(entry.rows_done, snapshot.rows)
        for batch in store.read(snapshot, batch_rows=self._platform.settings.batch_rows, from_row=first):
            encoded = encoder.encode(batch)
            sent_bytes += encoded.total_bytes
            few = slice(0, self._whole._shown - len(sample))
            for key, value in zip(
                encoded.keys[few].to_pylist(), encoded.values[few].to_pylist(), strict=True
            ):
                sample.append((key, decode_record(value, schema_of)))
        return sent_bytes, sample

    def _encoder(self, entry: LedgerEntry, rows: pa.Schema) -> RecordEncoder:
        if entry.contract == self._event.contract.fingerprint:
            return self._whole._registered.encoder
        return encoder_of(self._event, self._platform, entry, rows)

    def _schema_of(self, entry: LedgerEntry) -> Callable[[int], str]:
        text = contract_of(self._event, self._platform, entry).text
        return lambda _: text

    def _changes(
        self,
        base: LedgerEntry | None,
        target: LedgerEntry,
        sample: Sequence[tuple[bytes, Mapping[str, Any]]],
    ) -> tuple[Mapping[str, Any], ...]:
        """What differs in the sampled events that replace a published one."""
        if base is None or not sample:
            return ()
        try:
            before = self._side(base, None if base.complete else base.rows_done)
        except (
            NotPublishable
        ):  # published by a module with another event_id: its records cannot be made and are not needed
            return ()
        limit = self._platform.settings.memory_limit
        after = self._side(target, None)
        event_time = self._event.event_time
        return tuple(changes(before, after, sample, event_time=event_time, memory_limit=limit))

    def _side(self, entry: LedgerEntry, rows: int | None) -> Side:
        """All rows of a generation's snapshot, or the first `rows` of them."""
        store, snapshot = self._platform.snapshots, rows_of(self._platform, entry.advanced(delta=None))
        schema = store.schema(snapshot)
        key, batch_rows = key_field(schema, self._event.key), self._platform.settings.batch_rows
        return Side(
            lambda: first_rows(
                store.read(snapshot, batch_rows=batch_rows), snapshot.rows if rows is None else rows
            ),
            schema,
            self._encoder(entry, schema),
            key,
            self._schema_of(entry)(entry.schema_id),
        )
