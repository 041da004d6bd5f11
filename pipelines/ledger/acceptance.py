"""Rewrites ledger entries by a person's word: what took the place of what they name.

Each window is one transaction under the window's own claim, so that no run that publishes it can commit in between. A
command that is killed has rewritten some windows and not others, and the same command again does the rest.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from pipelines.ledger.entry import LedgerEntry, read_entry
from pipelines.ledger.identity import PARTS, Decision, Part, accepted, adopted
from pipelines.ledger.presence import remade_on
from resources.kafka.topics.ledger_topic import ledger_partition
from resources.kafka.transactions import TransactionalProducer
from resources.platform import Platform

Change = Callable[[LedgerEntry], LedgerEntry | None]
"""An entry as it is to be; None where there is nothing to change."""


@dataclass(frozen=True)
class Rewrite:
    """An entry that is to change, and what it becomes."""

    before: LedgerEntry
    after: LedgerEntry

    def ids(self, part: Part) -> tuple[str, str]:
        """What the entry names, and what it will, for people."""
        field = PARTS[part][0]
        return (getattr(self.before, field) or "-", getattr(self.after, field) or "-")


def accepting(platform: Platform, part: Part, word: Decision) -> Change:
    """The change that accepts what is there now in the place of `part`."""
    here, watch = platform.identity, platform.watch

    def change(entry: LedgerEntry) -> LedgerEntry | None:
        now = watch.now(entry.topic)
        if not now.partitions:
            return None  # of a topic that is not there nothing can be accepted
        told = remade_on(watch, entry, now) if part == "topic" else None
        return accepted(entry, part, here, now.topic_id, told, word)

    return change


def adopting(platform: Platform) -> Change:
    """The change that writes the ids of now into entries that name none. Entries whose topic was made again are left."""
    here, watch = platform.identity, platform.watch

    def change(entry: LedgerEntry) -> LedgerEntry | None:
        now = watch.now(entry.topic)
        if remade_on(watch, entry, now) is not None:
            return None
        return adopted(entry, here, now.topic_id)

    return change


def wanted(entries: Iterable[LedgerEntry], change: Change) -> Iterator[Rewrite]:
    """What `change` would rewrite. Writes nothing."""
    for entry in entries:
        after = change(entry)
        if after is not None:
            yield Rewrite(entry, after)


def rewrite(platform: Platform, key: str, change: Change) -> Rewrite | None:
    """Rewrite the newest entry of `key`, as it is behind the claim; None where nothing is to change any more.

    Ends a run that publishes the window, here or under the code location that the entry names.
    """
    settings, ledger = platform.settings, platform.ledger
    entry = read_entry(key, ledger.latest(key))
    if entry is None:
        return None
    with ExitStack() as claims:
        places = dict.fromkeys(name for name in (entry.code_location, settings.code_location) if name)
        producers = [
            claims.enter_context(
                TransactionalProducer(
                    settings,
                    f"{place}|{key}",
                    event=entry.event,
                    window=entry.window,
                    topic=entry.topic,
                    few=True,
                )
            )
            for place in places
        ]
        for producer in producers:
            producer.claim()
        entry = read_entry(key, ledger.latest(key))
        after = change(entry) if entry is not None else None
        if entry is None or after is None:
            return None
        own = producers[-1]
        own.begin()
        place = ledger_partition(key, settings.ledger_partitions)
        own.record(settings.ledger_topic, place, key.encode(), after.to_json())
        own.commit()
    return Rewrite(entry, after)
