"""Turns a decision into the ledger entry of the generation to send, and stores the rows that it publishes."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from pipelines.authoring.event import Event
from pipelines.ledger.entry import LedgerEntry, now
from pipelines.publishing.next_generation.correction import (
    Correction,
    DefinitionChanged,
    prepare_correction,
    store_rows,
)
from pipelines.publishing.next_generation.decision import Decision
from pipelines.publishing.registered_contract import RegisteredContract
from pipelines.publishing.request import PublishRequest, Replay
from pipelines.publishing.stored_rows import contract_of, event_times, key_field, stored_snapshot
from pipelines.stages.transform import Transformed
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.wording import counted


class NeverPublished(SluiceError):
    """A replay or redrive of a window that was never published,
    or a replay of one that is published only in part."""

    relaunch = False


@dataclass(frozen=True)
class Planned:
    """`entry`: the generation to send, whose `rows_done` rows are committed already. `gone`: the number of
    published rows that are gone."""

    entry: LedgerEntry
    gone: int = 0


class Planner:
    """Plans generations of one event for one run, and stores the rows that they publish."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        request: PublishRequest,
        registered: RegisteredContract,
        *,
        run_id: str,
    ) -> None:
        self._event, self._platform, self._request = event, platform, request
        self._registered, self._run_id = registered, run_id

    def going_on(self, entry: LedgerEntry) -> Planned:
        """The rest of an interrupted generation."""
        if entry.contract == self._event.contract.fingerprint:
            entry = entry.advanced(schema_id=self._registered.schema_id)
        return Planned(entry.advanced(run_id=self._run_id))

    def publication(
        self,
        decision: Decision,
        entry: LedgerEntry | None,
        window: str,
        snapshot: Snapshot,
        facts: dict[str, Any],
    ) -> Planned:
        """The window's first generation, or the next one, towards `snapshot`.
        Raises DefinitionChanged and BaseMissing."""
        fresh = self._fresh(decision, window, snapshot, facts)
        if entry is None:
            return Planned(fresh)
        found = self._corrected(fresh, entry, snapshot)
        redefined = (entry.code_version, entry.contract) != (fresh.code_version, fresh.contract)
        if redefined and found.entry.rows_total:
            if self._request.on_definition_change == "ask":
                raise DefinitionChanged(
                    self._event.full_name, window, found.entry.rows_total, snapshot.rows, found.gone
                )
            if self._request.on_definition_change == "replay":
                return self._whole(found, snapshot)
        return Planned(found.entry, found.gone)

    def replay_fresh(
        self,
        decision: Decision,
        entry: LedgerEntry,
        window: str,
        snapshot: Snapshot,
        facts: dict[str, Any],
        replay: Replay,
        *,
        emptied: bool = False,
    ) -> Planned:
        """Publish every event of the newly sourced `snapshot` again, with tombstones for vanished keys if the
        event declares them. `emptied`: the topic holds nothing of the window any more."""
        fresh = self._fresh(decision, window, snapshot, facts).advanced(request=replay.request)
        if emptied or entry.snapshot == snapshot.sha256:
            return self._whole(Correction(fresh, gone=0, vanished=0), snapshot)
        return self._whole(self._corrected(fresh, entry, snapshot), snapshot)

    def replay(self, decision: Decision, origin: LedgerEntry, replay: Replay, *, topic: str) -> Planned:
        """Publish the selected events of `origin`'s snapshot on `topic`. `origin`: the entry of the event's
        own topic, or the result of `fresh_origin` for a newly sourced window. Raises NeverPublished if
        `origin` is not complete."""
        event = self._event
        if not origin.complete:
            raise NeverPublished(
                f"{event.full_name} {origin.window}",
                f"is published to {origin.rows_done:,} of {counted(origin.rows_total, 'record')} only",
                next_step=f"sluice publish {event.full_name} {origin.window}, then replay it",
            )
        store = self._platform.snapshots
        snapshot = stored_snapshot(self._platform, origin, "transformed", origin.snapshot)
        selection = replay.selection.within(event.windows.window(origin.window))
        current = origin.contract == event.contract.fingerprint
        entry = LedgerEntry(
            event=origin.event,
            window=origin.window,
            topic=topic,
            generation=decision.generation,
            kind="replay",
            status="publishing",
            snapshot=origin.snapshot,
            rows_total=snapshot.rows,
            rows_done=0,
            code_version=origin.code_version,
            contract=origin.contract,
            schema_id=self._registered.schema_id if current else origin.schema_id,
            run_id=self._run_id,
            written_at=now(),
            reason=self._request.reason,
            requested_by=self._request.requested_by,
            request=replay.request,
            selection=selection.told(),
            record_timestamp=event.record_timestamp,
            event_time=event.event_time,
            shadow_of=event.topic if topic != event.topic else None,
        )
        if selection.everything:
            return Planned(entry)
        # The key field and its type at that time: the present contract may have others.
        key = key_field(store.schema(snapshot), event.key)
        rows = selection.rows(
            store.read(snapshot, batch_rows=self._platform.settings.batch_rows),
            key=key,
            key_type=contract_of(event, self._platform, origin).field(key).type,
            times_of=partial(event_times, event),
        )
        # Stored under the event's name at that time, beside the snapshot that the rows are a part of.
        delta = store_rows(
            store, origin.event, origin.window, "replay", store.schema(snapshot), rows, snapshot
        )
        return Planned(entry.advanced(delta=delta.sha256, rows_total=delta.rows))

    def redrive(
        self, decision: Decision, window: str, done: Transformed, base: Snapshot, delta: Snapshot
    ) -> Planned:
        """Publish `delta`, the repaired rows of a window. `base`: the snapshot without them;
        `done`: the snapshot with them."""
        entry = self._fresh(decision, window, done.snapshot, dict(done.facts)).advanced(
            kind="redrive",
            rows_total=delta.rows,
            base_snapshot=base.sha256,
            base_rows=base.rows,
            delta=delta.sha256,
            reason=self._request.reason or "rows that did not fit the contract were repaired",
        )
        return Planned(entry)

    def fresh_origin(
        self, decision: Decision, window: str, snapshot: Snapshot, facts: dict[str, Any]
    ) -> LedgerEntry:
        """The entry that `replay` takes as `origin` if the window was newly sourced
        and is not on the event's topic."""
        return self._fresh(decision, window, snapshot, facts).advanced(status="published")

    def _fresh(
        self, decision: Decision, window: str, snapshot: Snapshot, facts: dict[str, Any]
    ) -> LedgerEntry:
        return LedgerEntry(
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
            schema_id=self._registered.schema_id,
            run_id=self._run_id,
            written_at=now(),
            reason=self._request.reason,
            requested_by=self._request.requested_by,
            record_timestamp=self._event.record_timestamp,
            event_time=self._event.event_time,
        )

    def _corrected(self, fresh: LedgerEntry, entry: LedgerEntry, snapshot: Snapshot) -> Correction:
        return prepare_correction(
            self._event, self._platform, self._registered.encoder, fresh, entry, snapshot
        )

    def _whole(self, found: Correction, snapshot: Snapshot) -> Planned:
        """Every event of `snapshot` instead of the difference; the tombstones of `found` are kept."""
        entry = found.entry.advanced(
            kind="replay",
            delta=None,
            rows_total=snapshot.rows + found.vanished,
            reason=self._request.reason or found.entry.reason,
        )
        return Planned(entry, found.gone)
