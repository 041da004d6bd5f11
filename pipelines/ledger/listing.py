"""Reads the ledger's entries. Does not create the ledger."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pipelines.ledger.entry import LedgerDamaged, LedgerEntry, read_entry
from resources.kafka.topics.topics import describe_topic
from resources.platform import Platform

Damaged: TypeAlias = tuple[str, LedgerDamaged]
"""The key of a record that cannot be read, and why."""


@dataclass(frozen=True)
class Ledger:
    """`entries`: the newest committed entry of every window, sorted by event and window. `damaged`: the
    records that cannot be read, with their keys."""

    entries: tuple[LedgerEntry, ...] = ()
    damaged: tuple[Damaged, ...] = ()

    def windows_of(self, topic: str) -> list[str]:
        """Windows of a topic for which the ledger has a record, readable or not."""
        found = {entry.window for entry in self.entries if entry.topic == topic}
        return sorted(found | set(self.damaged_windows_of(topic)))

    def damaged_windows_of(self, topic: str) -> list[str]:
        """Windows of a topic whose record cannot be read."""
        return [key.removeprefix(f"{topic}|") for key, _ in self.damaged if key.startswith(f"{topic}|")]


def read_ledger(platform: Platform) -> Ledger:
    """The whole ledger; empty if the ledger topic does not exist.
    A damaged record does not prevent reading the others."""
    return _gathered(_each(platform, lambda *_: True, {}))


def read_topics(platform: Platform, topics: Collection[str], **patience: float) -> Ledger:
    """The part of the ledger about windows on these topics. Other records are not decoded, so that an event
    with few windows costs little in a large ledger."""
    return _gathered(_each(platform, lambda key, _: key.rpartition("|")[0] in topics, patience))


def each_about(platform: Platform, topic: str) -> Iterator[LedgerEntry | Damaged]:
    """The entries of an event's topic and of replays of its events to other topics,
    one by one, in bounded memory."""
    mark = f'"shadow_of":{json.dumps(topic)}'.encode()
    return _each(platform, lambda key, value: key.rpartition("|")[0] == topic or mark in value, {})


def _gathered(found: Iterable[LedgerEntry | Damaged]) -> Ledger:
    entries: list[LedgerEntry] = []
    damaged: list[Damaged] = []
    for one in found:
        if isinstance(one, LedgerEntry):
            entries.append(one)
        else:
            damaged.append(one)
    return Ledger(tuple(sorted(entries, key=lambda entry: (entry.event, entry.window))), tuple(damaged))


def _each(
    platform: Platform, wanted: Callable[[str, bytes], bool], patience: Mapping[str, float]
) -> Iterator[LedgerEntry | Damaged]:
    if describe_topic(platform.settings, platform.settings.ledger_topic) is None:
        return
    for key, value in platform.ledger.entries(**patience):
        if not wanted(key, value):
            continue
        try:
            entry = read_entry(key, value)
        except LedgerDamaged as error:
            yield key, error
            continue
        if entry is not None:
            yield entry


def not_yet(platform: Platform) -> str:
    """The end of a message which says that nothing exists yet."""
    return f" on {platform.settings.bootstrap_servers} yet (ledger topic {platform.settings.ledger_topic})"
