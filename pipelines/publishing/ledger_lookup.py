"""The newest ledger entry of a window, and whether it still holds for the topic."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from pipelines.authoring.event import Event
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry, ledger_key, read_entry
from pipelines.ledger.identity import require_here
from pipelines.ledger.presence import Presence, remade_on
from pipelines.ledger.topic_identity import topic_remade
from pipelines.publishing.stored_rows import require_size
from resources.identity import Identity
from resources.platform import Platform

Remade = Callable[[LedgerEntry], str | None]


class Found(NamedTuple):
    """`entry`: None if the ledger has none. `remade`: what shows that the entry's topic was created again
    since; None if nothing does."""

    entry: LedgerEntry | None
    remade: str | None


class Entries(ABC):
    """Ledger entries of the windows of one event."""

    def __init__(self, event: Event, platform: Platform) -> None:
        self._event, self._platform = event, platform
        self._free_shadow: str | None = None

    def current(self, window: str, topic: str) -> LedgerEntry | None:
        """The newest committed entry.
        Raises what `newest` raises, and TopicRemade if the topic was created again after the entry."""
        entry, remade = self.newest(window, topic)
        if entry is not None and remade is not None:
            raise topic_remade(entry, remade)
        return entry

    def require_free_shadow(self, topic: str) -> None:
        """Raise TopicOfAnother if the topic that is replayed to holds other events, whatever their window."""
        if self._free_shadow == topic:
            return
        for entry in self._all(topic):
            entry.require_of(self._event.topic, replayed_to=topic)
        self._free_shadow = topic

    def newest(self, window: str, topic: str, **patience: float) -> Found:
        """The newest committed entry of the window on the event's topic, or on its shadow topic `topic`.
        Raises TopicOfAnother, LedgerOfElsewhere, LedgerDamaged."""
        own = self._event.topic
        entry, remade = self._read(ledger_key(topic, window), topic, **patience)
        if entry is None:
            return Found(None, None)
        entry.require_of(own, replayed_to=topic if topic != own else None)
        require_here(entry, self._identity)
        require_size(self._platform, entry)
        return Found(entry, remade(entry))

    @property
    def _identity(self) -> Identity:
        """The identity of what this process writes to."""
        return self._platform.identity

    @abstractmethod
    def known(self, window: str, topic: str) -> tuple[bool, LedgerEntry | None]:
        """Whether the ledger was read for the window, and the entry that was found then. Sends no request.
        Raises LedgerDamaged."""

    @abstractmethod
    def _all(self, topic: str) -> Iterator[LedgerEntry]:
        """All entries of a topic."""

    @abstractmethod
    def _read(self, key: str, topic: str, **patience: float) -> tuple[LedgerEntry | None, Remade]:
        """The newest entry of a key, and a function that says whether an entry's topic was created again."""


class EntriesAsked(Entries):
    """Entries as the ledger is now: each look-up reads it."""

    def __init__(self, event: Event, platform: Platform, presence: Presence) -> None:
        super().__init__(event, platform)
        self._presence = presence

    @cached_property
    def _identity(self) -> Identity:
        # The first run gives a store its id. An entry with another id then belongs to another store.
        self._platform.snapshots.store_id(make=True)
        return self._platform.identity

    def known(self, window: str, topic: str) -> tuple[bool, LedgerEntry | None]:
        """Whether the ledger was read for the window, and the entry that was found then. Sends no request.
        Raises LedgerDamaged."""
        key = ledger_key(topic, window)
        read, value = self._platform.ledger.known(key)
        return read, read_entry(key, value)

    def _read(self, key: str, topic: str, **patience: float) -> tuple[LedgerEntry | None, Remade]:
        # Both requests run at the same time: each goes to the brokers.
        asked = self._presence.ask(topic)
        entry = read_entry(key, self._platform.ledger.latest(key, **patience))
        now = asked()
        self._presence.require_remembered(key, entry)
        return entry, lambda entry: self._presence.remade(entry, now)

    def _all(self, topic: str) -> Iterator[LedgerEntry]:
        for key, value in self._platform.ledger.entries():
            if key.startswith(f"{topic}|") and (entry := read_entry(key, value)) is not None:
                yield entry


class EntriesRead(Entries):
    """Entries that were read already, by key; `damaged`: records that cannot be read.
    `pretend` adds entries."""

    def __init__(
        self,
        event: Event,
        platform: Platform,
        entries: Mapping[str, LedgerEntry],
        damaged: Mapping[str, LedgerDamaged],
    ) -> None:
        super().__init__(event, platform)
        self._entries, self._damaged = dict(entries), damaged
        self._pretended: set[str] = set()

    def pretend(self, entry: LedgerEntry) -> None:
        """From now on `entry` counts as the newest of its window."""
        self._entries[entry.key] = entry
        self._pretended.add(entry.key)

    def _all(self, topic: str) -> Iterator[LedgerEntry]:
        yield from (entry for entry in self._entries.values() if entry.topic == topic)

    def known(self, window: str, topic: str) -> tuple[bool, LedgerEntry | None]:  # noqa: ARG002
        """Always (False, None): `newest` sends no request here either, so there is nothing to save."""
        return False, None

    def _read(self, key: str, topic: str, **patience: float) -> tuple[LedgerEntry | None, Remade]:  # noqa: ARG002
        # A record in the wrong partition has the key of a sound record. A run does not read it.
        if key in self._damaged and key not in self._entries:
            raise self._damaged[key]
        entry = self._entries.get(key)
        if key in self._pretended:
            return entry, lambda _: None
        return entry, lambda entry: remade_on(self._platform.watch, entry)
