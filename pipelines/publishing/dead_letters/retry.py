"""Retries dead letters with the present module, for a published window and for a window that its dead letters
block.

Both use the stored sourced snapshot that the dead letters came from, never newer rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.ledger.entry import LedgerEntry, now
from pipelines.publishing.dead_letters.repaired_rows import Repaired, repaired, together
from pipelines.publishing.next_generation.correction import store_rows
from pipelines.publishing.next_generation.difference import take_rows
from pipelines.publishing.registered_contract import RegisteredContract
from pipelines.publishing.stored_rows import named_snapshot, stored_snapshot
from pipelines.stages.dead_letters import LetterWriter, RetriedRows
from pipelines.stages.transform import (
    Blocked,
    Transformed,
    blocked,
    finish_letters,
    make_current,
    rows_schema,
    try_rows,
    verdict_of,
)
from pipelines.transform import DEAD_LETTER_SCHEMA, LETTERS_SCHEMA
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.wording import counted

# A key in the validation of a snapshot and of its letters: a redrive unblocked the window. The value is the
# code version that the window may be published as, or null.
UNBLOCKED = "unblocked_as_by"


class CannotRedrive(SluiceError):
    """The window's dead letters cannot be published on their own. Nothing was written."""

    relaunch = False


@dataclass(frozen=True)
class Unblocked:
    """A blocked window that was transformed again and may be published now.

    `snapshot`: the hash of its transformed snapshot. `dead`: how many dead letters are left. `done`: the
    result of this run's transform; None if an earlier run unblocked the window. `as_by`: the code version
    that blocked the window, if the present version changes nothing but the dead letters; None if it may
    change more.
    """

    snapshot: str
    dead: int
    as_by: str | None
    done: Transformed | None = None


@dataclass(frozen=True)
class Repair:
    """The result of a retry of a published window's dead letters.

    `told`: the sentence for the operator. `dead`: how many dead letters are left. `done`: the window's new
    transformed snapshot and the letters that are left; None if no row was retried. `delta`: the repaired
    rows; None if there are none, and then `done` is about the snapshot that exists already.
    """

    told: str
    dead: int
    base: Snapshot | None = None
    done: Transformed | None = None
    delta: Snapshot | None = None

    @property
    def rows(self) -> int:
        """The number of rows to publish."""
        return self.delta.rows if self.delta else 0


class Redriver:
    """Retries dead letters of one event, for one run."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        registered: RegisteredContract,
        *,
        run_id: str,
        force: bool,
    ) -> None:
        self._event, self._platform, self._registered = event, platform, registered
        self._store, self._run_id, self._force = platform.snapshots, run_id, force

    def unblock(self, key: str) -> Unblocked | None:
        """Transform a blocked window again.

        Returns None if the window has no current snapshot with a validation, or if its snapshot is not
        blocked and no redrive has unblocked it. If an earlier redrive unblocked the window and was killed
        before it published, the window is returned to be published.

        Raises Blocked if the dead-letter policy still blocks the window.
        """
        event, store = self._event, self._store
        current = store.current(event.full_name, key, "transformed")
        facts = store.validation(event.full_name, key, current.sha256) if current else None
        if current is None or facts is None:
            return None
        if facts["passed"]:
            if UNBLOCKED not in facts:
                return None
            return Unblocked(current.sha256, facts["dead"], facts[UNBLOCKED])
        window = event.windows.window(key)
        allowed, _ = verdict_of(event, rows=facts["rows_in"], dead=facts["dead"], reasons={})
        if not allowed and self._tried_before(facts):
            raise Blocked(
                f"{event.full_name} {key}", self._nothing_new(facts["dead"]), next_step=self._mend()
            )
        source = self._source(event.full_name, key, facts)
        letters = self._letters(event.full_name, key, facts)
        tried = RetriedRows.of(self._read(letters)) if letters else None
        done = try_rows(event, window, self._platform, source, run_id=self._run_id, tried=tried)
        if not done.passed:
            make_current(event, window, self._platform, done)
            raise blocked(event, window, done)
        alone = False
        if done.again is not None and self._same_schema(current):
            alone = repaired(
                self._platform, self._registered.encoder, current, done.snapshot, done.again.rows
            ).alone
        as_by = facts["code_version"] if alone else None
        # From here on nothing blocks the window.
        # The next run must know what is left to do if this run dies before it publishes.
        letters = replace(done.letters, facts={**done.letters.facts, UNBLOCKED: as_by})
        done = replace(done, facts={**done.facts, UNBLOCKED: as_by}, letters=letters)
        make_current(event, window, self._platform, done)
        return Unblocked(done.snapshot.sha256, done.dead, as_by, done)

    def repair(self, entry: LedgerEntry) -> Repair:
        """Retry the dead letters of a completely published window. Stores the rows to publish and the letters
        that are left.

        Nothing becomes current before `make_current`, with one exception: if no letter is repaired, the
        letters that are left become current at once.

        Raises CannotRedrive, Blocked, and what the transform raises.
        """
        facts = self._store.validation(entry.event, entry.window, entry.snapshot)
        if facts is None:
            raise self._cannot(entry, "what it was made from is not known any more")
        if not facts["dead"]:
            return Repair("it has no dead letters", 0)
        if self._tried_before(facts):
            return Repair(self._nothing_new(facts["dead"]), facts["dead"])
        if self._event.whole_window:
            raise self._cannot(
                entry,
                "the transform takes the whole window at once, so that one row more may change any other",
            )
        base = stored_snapshot(self._platform, entry, "transformed", entry.snapshot)
        if entry.contract != self._event.contract.fingerprint or not self._same_schema(base):
            raise self._cannot(
                entry, "the contract or the key changed since, and its events are of the earlier one"
            )
        letters = self._letters(entry.event, entry.window, facts)
        if letters is None:
            raise self._cannot(entry, "the file of its dead letters is gone")
        tried = RetriedRows.of(self._read(letters))
        window = self._event.windows.window(entry.window)
        source = self._source(entry.event, entry.window, facts)
        done = try_rows(self._event, window, self._platform, source, run_id=self._run_id, tried=tried)
        if done.again is None:
            raise self._cannot(
                entry, "the transform drops the frame's index, so that its rows cannot be told apart"
            )
        found = repaired(self._platform, self._registered.encoder, base, done.snapshot, done.again.rows)
        facts = {**facts, "code_version": entry.code_version}
        return self._outcome(entry, window, base, facts, tried, done, found)

    def _outcome(
        self,
        entry: LedgerEntry,
        window: Window,
        base: Snapshot,
        facts: Mapping[str, Any],
        tried: RetriedRows,
        done: Transformed,
        found: Repaired,
    ) -> Repair:
        event, rows = self._event, len(found.rows)
        delta = self._part(window, done, found) if rows else None
        if not rows or not found.alone:
            target = self._joined(window, base, delta) if delta else base
            # If nothing is published, the published rows keep the verdict of their publication.
            standing = delta is None and facts["passed"]
            done = self._of_target(window, target, facts, tried, done, standing=standing)
        told = _told(rows, facts["dead"], done, found, f"{event.full_name} {window.key}")
        if delta is None:
            self._store.set_validation(entry.event, window.key, base.sha256, done.facts)
            if self._current(window.key, "transformed") == base.sha256:
                self._store.set_current(event.full_name, window.key, "dead", done.letters)
        elif not done.passed:
            raise blocked(event, window, done)
        return Repair(told, done.dead, base, done, delta)

    def make_current(self, window: str, repair: Repair) -> None:
        """Make the target of a repair current before any row of it is published. If the run dies in between,
        the window looks like one that is transformed and not yet published."""
        done, event = repair.done, self._event
        assert done is not None and repair.base is not None
        self._store.set_validation(event.full_name, window, done.snapshot.sha256, done.facts)
        now = self._current(window, "transformed")
        known = self._store.validation(event.full_name, window, now) if now else None
        # If other rows were sourced since, they stay current, and a run of their own publishes them.
        if now in (None, repair.base.sha256) or (known or {}).get("source") == done.facts["source"]:
            make_current(event, event.windows.window(window), self._platform, done)

    def _part(self, window: Window, done: Transformed, found: Repaired) -> Snapshot:
        """The repaired rows, as a snapshot."""
        rows = take_rows(self._read(done.snapshot), pa.array(found.rows))
        schema = self._store.schema(done.snapshot)
        return store_rows(
            self._store, self._event.full_name, window.key, "redrive", schema, rows, done.snapshot
        )

    def _joined(self, window: Window, base: Snapshot, delta: Snapshot) -> Snapshot:
        """The published rows together with the repaired rows.
        This is the target if the module changed other events too."""
        rows = together(self._read(base), self._read(delta), self._event.event_time)
        schema = self._store.schema(base)
        return store_rows(self._store, self._event.full_name, window.key, "transformed", schema, rows, base)

    def _of_target(
        self,
        window: Window,
        target: Snapshot,
        facts: Mapping[str, Any],
        tried: RetriedRows,
        done: Transformed,
        *,
        standing: bool,
    ) -> Transformed:
        """`done`, adapted to a target that is not the whole new snapshot: the target was made by the
        published version of the module, and its dead letters are the earlier ones that fail again."""
        event, settings = self._event, self._platform.settings
        assert done.again is not None
        with self._store.writer(event.full_name, window.key, "dead", LETTERS_SCHEMA) as out:
            letters = LetterWriter(
                out,
                event=event.full_name,
                window=window.key,
                run_id=self._run_id,
                most_whole=settings.max_dead_letters,
                tried=tried,
            )
            for batch in self._read(done.letters):
                ours = batch.filter(pc.is_in(batch.column("source_row"), value_set=pa.array(tried.rows)))
                letters.write(ours.select(DEAD_LETTER_SCHEMA.names))
            passed, verdict = verdict_of(event, rows=done.rows_in, dead=letters.dead, reasons=letters.reasons)
            passed = passed or standing
            new = {
                **{name: value for name, value in facts.items() if name not in ("sha256", UNBLOCKED)},
                "dead": letters.dead,
                "dropped": facts["dropped"] + done.again.left_out,
                "run_id": self._run_id,
                "written_at": now(),
                "passed": passed,
                "reason": verdict,
                "tried": event.code_version,
            }
            stored = finish_letters(letters, out, target, new)
        return replace(
            done,
            snapshot=replace(target, facts=new),
            dead=letters.dead,
            dropped=new["dropped"],
            reasons=dict(letters.reasons),
            letters=stored,
            sample=tuple(letters.sample),
            passed=passed,
            verdict=verdict,
            facts={**new, "letters": stored.sha256},
        )

    def _tried_before(self, facts: Mapping[str, Any]) -> bool:
        return not self._force and facts.get("tried", facts["code_version"]) == self._event.code_version

    def _nothing_new(self, dead: int) -> str:
        return (
            f"{counted(dead, 'dead letter')}, tried by this version of the module before: nothing new to try"
        )

    def _mend(self) -> str:
        return f"mend {self._event.module_path.name}, then redrive it; --force, or force in the run config, tries again all the same"

    def _same_schema(self, snapshot: Snapshot) -> bool:
        # The metadata names the key field. Rows with another key field are other events.
        same: bool = self._store.schema(snapshot).equals(rows_schema(self._event), check_metadata=True)
        return same

    def _read(self, snapshot: Snapshot) -> Iterator[pa.RecordBatch]:
        return self._store.read(snapshot, batch_rows=self._platform.settings.batch_rows)

    def _current(self, window: str, stage: str) -> str | None:
        found = self._store.current(self._event.full_name, window, stage)
        return found.sha256 if found else None

    def _letters(self, name: str, window: str, facts: Mapping[str, Any]) -> Snapshot | None:
        sha256 = facts.get("letters")
        return self._store.find(name, window, "dead", sha256) if sha256 else None

    def _source(self, name: str, window: str, facts: Mapping[str, Any]) -> Snapshot:
        return named_snapshot(
            self._platform,
            name,
            window,
            "sourced",
            facts["source"],
            named_by="the window's validation",
            so=": its dead letters came of it",
            next_step=f"restore it, or source the window anew: sluice publish {name} {window}",
            error=CannotRedrive,
        )

    def _cannot(self, entry: LedgerEntry, problem: str) -> CannotRedrive:
        window = f"{self._event.full_name} {entry.window}"
        return CannotRedrive(
            window,
            f"cannot be redriven: {problem}",
            next_step=f"sluice publish {window} --correct sources it anew and publishes whatever differs",
        )


def _told(repaired_rows: int, dead: int, done: Transformed, found: Repaired, window: str) -> str:
    """One sentence about the result of the retry."""
    assert done.again is not None
    parts = [f"{counted(repaired_rows, 'event')} repaired of {counted(dead, 'dead letter')}"]
    if done.dead:
        listed = ", ".join(f"{name} {count:,}" for name, count in sorted(done.reasons.items()))
        parts.append(f"still dead: {listed}")
    if done.again.left_out:
        parts.append(f"{counted(done.again.left_out, 'row')} left out by the transform now")
    if not found.alone:
        parts.append(
            f"this version of the module also makes {counted(found.others, 'other event')} new or different and "
            f"{counted(found.gone, 'event')} vanish, which a redrive leaves as they are: sluice publish {window} --correct "
            "publishes that"
        )
    return "; ".join(parts)
