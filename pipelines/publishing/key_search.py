"""Checks which keys of a replay exist in the rows that it would replay, and whether any row is in its range
of event time. A key that matches nothing is a mistake, and so is a range that matches nothing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow.compute as pc

from pipelines.authoring.event import Event
from pipelines.authoring.windows import Window
from pipelines.contract import Contract
from pipelines.contract.avro_type import AvroType
from pipelines.encoding.keys import NotAKey, key_bytes, typed_key
from pipelines.ledger.entry import LedgerEntry
from pipelines.publishing.ledger_lookup import Entries
from pipelines.publishing.request import Replay
from pipelines.publishing.selection import Selection
from pipelines.publishing.stored_rows import contract_of, event_times, key_field, stored_snapshot
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot, SnapshotStore
from resources.wording import counted

_NAMED, _LISTED = 10, 100
LEAVE_OUT = "add --matching-only (run config unmatched_keys: leave_out)"


@dataclass(frozen=True)
class Unmatched:
    """`count` of the `given` keys are in none of the searched windows; `keys`: the first of them, sorted.
    `within`: the requested range of event time, "" if there is none. If no keys were given, no event is in
    the range."""

    given: int
    count: int
    keys: tuple[str, ...]
    within: str = ""

    def __str__(self) -> str:
        count = self.count
        if not self.given:
            return f"no event of these windows is selected by {self.within}"
        some = ", ".join(repr(key) for key in self.keys[:_NAMED])
        more = f" and {count - _NAMED:,} more" if count > _NAMED else ""
        number = f"{count:,} of {counted(self.given, 'key')} {'is' if count == 1 else 'are'}"
        where = f"in none of these windows{f' within {self.within}' if self.within else ''}"
        return f"{number} {where}: {some}{more}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON and metadata: `given`, `count`, the `first` hundred keys, and `within`."""
        return {"given": self.given, "count": self.count, "first": list(self.keys), "within": self.within}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "Unmatched":
        """The inverse of `as_dict`; keys that `as_dict` left out are not restored."""
        return cls(told["given"], told["count"], tuple(told["first"]), told["within"])


class KeysUnmatched(SluiceError):
    """A replay names keys that none of its windows holds,
    or a range of event time that holds none of their events."""

    def __init__(self, event: Event, unmatched: Unmatched, *, replayed: bool) -> None:
        self.unmatched = unmatched
        others = unmatched.count < unmatched.given
        done = "the others were replayed" if replayed else "nothing was replayed"
        instead = f", or {LEAVE_OUT} to replay the others" if others and not replayed else ""
        where = f"replay of {event.full_name}"
        if not unmatched.given:
            self.told = "no event is selected"
            super().__init__(
                where,
                f"{unmatched}; nothing was replayed",
                allowed="a range that holds the time of an event of these windows, from its beginning until before its end",
                next_step="correct the range or name other windows",
            )
            return
        self.told = "not every key was found"
        super().__init__(
            where,
            f"{unmatched}; {done}" if others else f"{unmatched}; nothing was replayed",
            allowed="keys of published events; a text is compared character by character, blanks and capitals included",
            next_step=f"correct the keys or name other windows{instead}",
        )


class KeySearch:
    """The keys of `selection` that no searched window has held so far. For a range of event time without
    keys: whether a searched window has held an event in the range."""

    def __init__(self, event: Event, platform: Platform, selection: Selection) -> None:
        self._event, self._platform, self._selection = event, platform, selection
        self._left = set(selection.keys)
        self._no_event = not selection.keys and not selection.everything
        self._typed: dict[str, dict[bytes, list[str]]] = {}

    def look_stored(self, entries: Iterable[LedgerEntry]) -> None:
        """Search the snapshots that the ledger names.
        Raises SluiceError if one of them is gone, and what `require_typed` raises."""
        known = list(entries)
        self.require_typed(known)
        for entry in known:
            if not self._left and not self._no_event:
                return
            snapshot = stored_snapshot(self._platform, entry, "transformed", entry.snapshot)
            contract = contract_of(self._event, self._platform, entry)
            self.look(self._platform.snapshots, snapshot, entry.window, contract)

    def require_typed(self, entries: Iterable[LedgerEntry]) -> None:
        """Raise SluiceError for a key that fits neither the present type of the key field nor its type in the
        rows that the ledger names."""
        require_typed(self._event, self._selection, map(self._key_type, entries))

    def _key_type(self, entry: LedgerEntry) -> AvroType:
        """The key type of the rows that the entry published: the contract, or the key field,
        may have been another one then."""
        store = self._platform.snapshots
        snapshot = stored_snapshot(self._platform, entry, "transformed", entry.snapshot)
        key = key_field(store.schema(snapshot), self._event.key)
        return contract_of(self._event, self._platform, entry).field(key).type

    def look(self, store: SnapshotStore, snapshot: Snapshot, window: str, contract: Contract) -> None:
        """Search the transformed rows of one window; they have the types of `contract`."""
        within = self._selection.within(self._event.windows.window(window))
        if self._no_event:
            self._look_in_time(store, snapshot, within)
            return
        key = key_field(store.schema(snapshot), self._event.key)
        key_type = contract.field(key).type
        place = f"{key}|{contract.fingerprint}"
        if place not in self._typed:
            self._typed[place] = self._selection.typed(key_type)
        typed = self._typed[place]
        wanted = Selection(frozenset(text for texts in typed.values() for text in texts) & self._left)
        if not wanted.keys:
            return
        rows = Selection(wanted.keys, within.since, within.until).rows(
            store.read(
                snapshot,
                batch_rows=self._platform.settings.batch_rows,
                columns=list(dict.fromkeys((key, self._event.event_time))),
            ),
            key=key,
            key_type=key_type,
            times_of=partial(event_times, self._event),
        )
        for batch in rows:
            column = key_bytes(batch.column(batch.schema.get_field_index(key)))
            for value in pc.unique(column).to_pylist():
                self._left.difference_update(typed[value])

    def _look_in_time(self, store: SnapshotStore, snapshot: Snapshot, within: Selection) -> None:
        if within.everything:
            self._no_event = not snapshot.rows
            return
        batches = store.read(
            snapshot, batch_rows=self._platform.settings.batch_rows, columns=[self._event.event_time]
        )
        found = within.in_time(batches, times_of=partial(event_times, self._event))
        self._no_event = next(found, None) is None

    @property
    def unmatched(self) -> Unmatched | None:
        """The keys that were not found, or the range that holds no event; None if everything was found."""
        if not self._left and not self._no_event:
            return None
        within = Selection(since=self._selection.since, until=self._selection.until).told() or ""
        first = tuple(sorted(self._left)[:_LISTED])
        return Unmatched(len(self._selection.keys), len(self._left), first, within)


def require_typed(event: Event, selection: Selection, of_then: Iterable[AvroType] = ()) -> None:
    """Raise SluiceError for keys that cannot be keys of the event: they fit neither the type of its key nor
    one of the earlier types `of_then`. The earlier types are read only if a key does not fit the present
    type."""
    field = event.contract.field(event.key)
    wrong = {text: typed_key(text, field.type) for text in selection.keys}
    wrong = {text: key for text, key in wrong.items() if isinstance(key, NotAKey)}
    for key_type in of_then if wrong else ():
        wrong = {text: key for text, key in wrong.items() if isinstance(typed_key(text, key_type), NotAKey)}
    if not wrong:
        return
    some = ", ".join(repr(text) for text in sorted(wrong)[:_NAMED])
    more = f" and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
    first = wrong[min(wrong)]
    raise SluiceError(
        f"replay of {event.full_name}",
        f"{some}{more} cannot be {'a key' if len(wrong) == 1 else 'keys'} of this event, whose key {field.name} is "
        f"{field.type}; nothing was replayed",
        allowed=first.allowed if isinstance(first, NotAKey) else None,
        next_step="correct the keys",
    )


class KeysCheck:
    """Checks whether a replay's keys exist in its `windows`, and whether an event is in its range.

    One check covers all windows of a run. It runs before the first window if the rows are stored already, and
    after the last window otherwise. `entries`: the ledger's entries.
    """

    def __init__(
        self,
        event: Event,
        platform: Platform,
        replay: Replay | None,
        windows: Sequence[Window],
        entries: Entries,
    ) -> None:
        asked = replay if replay is not None and not replay.selection.everything else None
        self._event, self._platform, self._replay = event, platform, asked
        self._windows, self._entries = windows, entries

    def before(self) -> None:
        """Raise SluiceError for a text that cannot be a key.
        Raise KeysUnmatched if the rows are stored already and do not match."""
        replay = self._replay
        if replay is None:
            return
        if replay.source == "fresh":
            require_typed(self._event, replay.selection)
        elif replay.unmatched_keys == "refuse":
            self._require_found(replay, None, replayed=False)
        else:
            KeySearch(self._event, self._platform, replay.selection).require_typed(self._published(None))

    def after(self) -> None:
        """Raise KeysUnmatched if the rows were stored by this replay and do not match."""
        replay = self._replay
        if replay is not None and replay.source == "fresh" and replay.unmatched_keys == "refuse":
            self._require_found(replay, replay.topic, replayed=True)

    def _require_found(self, replay: Replay, topic: str | None, *, replayed: bool) -> None:
        sought = KeySearch(self._event, self._platform, replay.selection)
        sought.look_stored(self._published(topic))
        if sought.unmatched is not None:
            raise KeysUnmatched(self._event, sought.unmatched, replayed=replayed)

    def _published(self, topic: str | None) -> Iterator[LedgerEntry]:
        for window in self._windows:
            entry = self._entries.current(window.key, topic or self._event.topic)
            if entry is not None:
                yield entry
