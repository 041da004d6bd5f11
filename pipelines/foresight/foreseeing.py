"""Finds out what a launch would do: the same steps and rules as in a run, on snapshots in a folder that is thrown away."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.encoding import RecordEncoder, decode_record
from pipelines.encoding.plain_json import plain
from pipelines.foresight.changes import Side, changes, first_rows
from pipelines.foresight.plan import WindowPlan
from pipelines.publishing.correction import DefinitionChanged
from pipelines.publishing.decision import Action, Decision, decide, decide_replay
from pipelines.publishing.entry import LedgerDamaged, LedgerEntry, ledger_key
from pipelines.publishing.generations import displaced
from pipelines.publishing.identity import require_here
from pipelines.publishing.outcome import NONE_SELECTED
from pipelines.publishing.planning import NeverPublished, Planned, Planner
from pipelines.publishing.preflight import subject_of
from pipelines.publishing.presence import remade_on
from pipelines.publishing.remade import topic_remade
from pipelines.publishing.result import Outcome
from pipelines.publishing.sought import SoughtKeys
from pipelines.publishing.stored import (
    NotPublishable,
    contract_of,
    encoder_of,
    key_field,
    new_encoder,
    require_size,
    rows_without_events,
    stored_snapshot,
)
from pipelines.publishing.wish import Expected, Replay, Wish
from pipelines.steps.sourced import source_window
from pipelines.steps.transformed import Transformed, transform_window
from resources.errors import PassingFault, SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot, SnapshotStore

Entries = Mapping[str, LedgerEntry]
_EMPTY: dict[str, str] = {
    "no_rows": "the window has no rows",
    "no_events": "none of its rows became an event",
}


class Foresight:
    """Plans windows of `event` under `wish`. `entries`: the ledger, by key; `damaged`: its records that cannot be read;
    `keys` are looked for in rows that are made. Writes nothing that outlives a call."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        wish: Wish,
        entries: Entries,
        *,
        damaged: Mapping[str, LedgerDamaged] | None = None,
        shown: int = 3,
        keys: SoughtKeys | None = None,
    ) -> None:
        self._event, self._platform, self._wish = event, platform, wish
        self._entries, self._damaged, self._shown = entries, damaged or {}, shown
        self.keys = keys
        # Keys of entries whose topic was made again: nothing of the window is there.
        self.emptied: set[str] = set()
        if wish.replay is not None:
            wish.replay.require_shadow(event.topic, platform.settings.ledger_topic)
            for entry in entries.values():
                if entry.topic == wish.replay.topic:
                    entry.require_of(event.topic, replayed_to=entry.topic)

    def windows(self, windows: Sequence[Window]) -> Iterator[WindowPlan]:
        """Each window's plan, in turn; what would stop one in a run is said of it and leaves the others their turn.

        Raises PassingFault where the warehouse or Kafka is away.
        """
        for window in windows:
            with tempfile.TemporaryDirectory(prefix="sluice-plan-") as folder:
                aside = replace(self._platform.settings, snapshots=folder)
                with Platform(aside) as scratch:
                    try:
                        yield _WindowForesight(self, window, scratch).plan()
                    except PassingFault:
                        raise
                    except SluiceError as error:
                        expected = Expected(None, *_state(self._entries.get(self._key(window))))
                        yield WindowPlan(window.key, "refused", error.problem, expected, refused=str(error))

    def entry(self, window: Window, topic: str | None = None) -> LedgerEntry | None:
        """The newest entry of a window. Raises LedgerDamaged, TopicOfAnother."""
        own, key = self._event.topic, self._key(window, topic)
        if key in self._damaged:
            raise self._damaged[key]
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.require_of(own, replayed_to=topic if topic != own else None)
        require_here(entry, self._platform.identity)
        require_size(self._platform, entry)
        told = remade_on(self._platform.watch, entry)
        if told is None:
            return entry
        if not self._wish.replays_whole:
            raise topic_remade(entry, told)
        # As the run does: nothing of it is on the topic, and all of its snapshot is replayed.
        self.emptied.add(key)
        return displaced(entry).advanced(status="published")

    def _key(self, window: Window, topic: str | None = None) -> str:
        return ledger_key(topic or self._event.topic, window.key)

    @cached_property
    def schema_id(self) -> int:
        """The contract's id; 0 where it is not registered yet, for a plan registers nothing."""
        subject = subject_of(self._event.topic)
        return self._platform.registry.lookup(subject, self._event.contract.text) or 0

    @cached_property
    def encoder(self) -> RecordEncoder:
        """Makes the records, to count their bytes."""
        return new_encoder(self._event, self.schema_id)


class _WindowForesight:
    def __init__(self, whole: Foresight, window: Window, scratch: Platform) -> None:
        self._whole, self._window, self._scratch = whole, window, scratch
        self._event, self._platform, self._wish = whole._event, whole._platform, whole._wish
        # The difference is wanted also where a run would ask first.
        asking = self._wish.on_definition_change == "ask"
        self._planner = Planner(
            self._event,
            self._platform,
            replace(self._wish, on_definition_change="correct") if asking else self._wish,
            run_id="plan",
            schema_id=lambda: whole.schema_id,
            encoder=lambda: whole.encoder,
            work=scratch.snapshots,
        )

    def plan(self) -> WindowPlan:
        """The window's plan. Raises what a run would raise of this window before it publishes."""
        replay = self._wish.replay
        plan = self._publication() if replay is None else self._replay(replay)
        if plan.refused or plan.records:
            return plan
        outcome = self._outcome(plan)
        said = _EMPTY.get(outcome)
        return replace(plan, outcome=outcome, because=f"{plan.because}; {said}" if said else plan.because)

    def _outcome(self, plan: WindowPlan) -> Outcome:
        """Why nothing would be published."""
        for platform in (self._scratch, self._platform):
            sourced = rows_without_events(
                platform, self._event.full_name, self._window.key, plan.expected.snapshot or ""
            )
            if sourced is not None and not plan.gone:
                return "no_events" if sourced else "no_rows"
        if plan.gone:
            return "gone"
        return "not_selected" if plan.because == NONE_SELECTED else "unchanged"

    def _publication(self) -> WindowPlan:
        done = self._made()
        entry = self._whole.entry(self._window)
        expected = Expected(done.snapshot.sha256, *_state(entry))
        if not done.passed:
            return WindowPlan(
                self._window.key,
                "blocked",
                done.verdict,
                expected,
                dead=done.dead,
                refused=f"{self._event.full_name} {self._window.key}: {done.verdict}; next: sluice preview {self._event.full_name} "
                f"{self._window.key} shows the first of them",
            )
        finished, entry, decision = self._finished(entry, done.snapshot.sha256)
        planned = None
        if decision.action == "resume":
            assert entry is not None
            planned = self._planner.going_on(entry)
        elif decision.action != "nothing":
            planned = self._planner.publication(
                decision, entry, self._window.key, done.snapshot, dict(done.snapshot.facts)
            )
        plan = self._described(decision, planned, entry, expected, rows=done.snapshot.rows)
        plan = replace(plan, dead=done.dead, records=plan.records + finished)
        assert planned is not None or not finished, "what is finished first is corrected then"
        if planned is not None and entry is not None and self._asks(planned, entry):
            asked = DefinitionChanged(
                self._event.full_name, self._window.key, plan.records, done.snapshot.rows, plan.gone
            )
            return replace(plan, action="asks", refused=str(asked))
        return plan

    def _asks(self, planned: Planned, entry: LedgerEntry) -> bool:
        redefined = (entry.code_version, entry.contract) != (
            planned.entry.code_version,
            planned.entry.contract,
        )
        return self._wish.on_definition_change == "ask" and redefined and planned.entry.rows_total > 0

    def _finished(self, entry: LedgerEntry | None, snapshot: str) -> tuple[int, LedgerEntry | None, Decision]:
        """The decision behind whatever interrupted generation is finished first, with how many records that sends."""
        decision, first = decide(entry, snapshot), 0
        if decision.action == "finish":
            assert entry is not None
            first = entry.rows_total - entry.rows_done
            entry = entry.advanced(status="published", rows_done=entry.rows_total)
            decision = decide(entry, snapshot)
        return first, entry, decision

    def _replay(self, replay: Replay) -> WindowPlan:
        topic = replay.topic or self._event.topic
        shadow = topic != self._event.topic
        own, there = self._whole.entry(self._window), self._whole.entry(self._window, topic)
        if own is None and not (shadow and replay.source == "fresh"):
            raise NeverPublished(
                f"{self._event.full_name} {self._window.key}",
                f"was never published to {self._event.topic}, so there is nothing to replay",
                next_step=f"sluice publish {self._event.full_name} {self._window.key}",
            )
        decision, done, first = decide_replay(there, "a plan"), None, 0
        expected = Expected(own.snapshot if own else None, *_state(there))
        if decision.action == "finish":
            assert there is not None
            decision = Decision("replay", there.generation + 1, decision.because)
            first = there.rows_total - there.rows_done
            if not shadow:
                own = there.advanced(status="published", rows_done=there.rows_total)
        if replay.source == "fresh":
            done = self._made()
            if not done.passed:
                raise SluiceError(f"{self._event.full_name} {self._window.key}", done.verdict)
            if self._whole.keys is not None:
                self._whole.keys.look(
                    self._scratch.snapshots, done.snapshot, self._window.key, self._event.contract
                )
            facts = dict(done.snapshot.facts)
            expected = replace(expected, snapshot=done.snapshot.sha256)
            if own is not None and not shadow and replay.selection.everything:
                planned = self._planner.replay_fresh(
                    decision,
                    own,
                    self._window.key,
                    done.snapshot,
                    facts,
                    replay,
                    emptied=own.key in self._whole.emptied,
                )
                plan = self._described(decision, planned, own, expected, rows=done.snapshot.rows)
                return replace(plan, records=plan.records + first)
            if own is not None and not shadow:
                # A run corrects the window, and then replays what is selected.
                corrected = self._publication()
                if corrected.refused:
                    return corrected
                first = corrected.records
                decision = replace(decision, generation=corrected.generation + 1)
            own = self._planner.fresh_origin(decision, self._window.key, done.snapshot, facts)
        assert own is not None
        planned = self._planner.replay(decision, own, replay, topic=topic)
        if planned.entry.selection is not None and not planned.entry.rows_total:
            action: Action = "correct" if first and done else "finish" if first else "nothing"
            told = Decision(action, decision.generation - 1, NONE_SELECTED)
            return replace(self._described(told, None, None, expected, rows=0), records=first)
        plan = self._described(decision, planned, None, expected, rows=planned.entry.rows_total)
        return replace(plan, records=plan.records + first)

    def _made(self) -> Transformed:
        source_window(self._event, self._window, self._scratch, run_id="plan")
        return transform_window(self._event, self._window, self._scratch, run_id="plan")

    def _described(
        self,
        decision: Decision,
        planned: Planned | None,
        base: LedgerEntry | None,
        expected: Expected,
        *,
        rows: int,
    ) -> WindowPlan:
        plan = WindowPlan(
            self._window.key, decision.action, decision.because, expected, decision.generation, rows
        )
        if planned is None:
            return plan
        store, snapshot = self._rows_of(planned.entry)
        changed = snapshot.rows
        tombstones = planned.entry.rows_total - changed
        first = min(planned.entry.rows_done, changed)
        sent_bytes, sample = 0, list[tuple[bytes, Mapping[str, Any]]]()
        encoder = self._encoder(planned.entry, store.schema(snapshot))
        for batch in store.read(snapshot, batch_rows=self._platform.settings.batch_rows, from_row=first):
            encoded = encoder.encode(batch)
            sent_bytes += encoded.total_bytes
            if len(sample) < self._whole._shown:
                few = slice(0, self._whole._shown - len(sample))
                schema_of = self._schema_of(planned.entry)
                sample += [
                    (key, decode_record(value, schema_of))
                    for key, value in zip(
                        encoded.keys[few].to_pylist(), encoded.values[few].to_pylist(), strict=True
                    )
                ]
        return replace(
            plan,
            records=planned.entry.rows_total - planned.entry.rows_done,
            tombstones=min(tombstones, planned.entry.rows_total - planned.entry.rows_done),
            gone=planned.gone,
            bytes=sent_bytes,
            sample=tuple(plain(record) for _, record in sample),
            changes=self._changes(base, planned.entry, sample) if decision.action == "correct" else (),
        )

    def _rows_of(self, entry: LedgerEntry) -> tuple[SnapshotStore, Snapshot]:
        """The rows that would be published: made by this plan, or stored by an earlier run."""
        stage, sha256 = (entry.kind, entry.delta) if entry.delta else ("transformed", entry.snapshot)
        made = self._scratch.snapshots.find(entry.event, entry.window, stage, sha256)
        if made is not None:
            return self._scratch.snapshots, made
        return self._platform.snapshots, stored_snapshot(self._platform, entry, stage, sha256)

    def _encoder(self, entry: LedgerEntry, rows: pa.Schema) -> RecordEncoder:
        if entry.contract == self._event.contract.fingerprint:
            return self._whole.encoder
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
        """What is different about the sampled events that replace a published one."""
        if base is None or not sample:
            return ()
        try:
            before = self._side(base, None if base.complete else base.rows_done)
        except (
            NotPublishable
        ):  # by a module with another event_id: its records cannot be made, and need not be
            return ()
        limit = self._platform.settings.memory_limit
        after = self._side(target, None)
        event_time = self._event.event_time
        return tuple(changes(before, after, sample, event_time=event_time, memory_limit=limit))

    def _side(self, entry: LedgerEntry, rows: int | None) -> Side:
        """All rows of a generation's snapshot, or the first `rows` of them."""
        store, snapshot = self._rows_of(entry.advanced(delta=None))
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


def _state(entry: LedgerEntry | None) -> tuple[int, int]:
    return (entry.generation, entry.rows_done) if entry else (0, 0)
