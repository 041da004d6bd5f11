"""Rewrites ledger entries after a person's decision: what replaced the topic, cluster, store or location that
they name.

Each window is rewritten in one transaction under the window's own claim, so that no run that publishes it can
commit in between. A command that is killed has rewritten only some windows; the same command, run again,
rewrites the rest.
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
"""Returns the changed entry; None if there is nothing to change."""


@dataclass(frozen=True)
class Rewrite:
    """An entry before and after its change."""

    before: LedgerEntry
    after: LedgerEntry

    def ids(self, part: Part) -> tuple[str, str]:
        """The id that the entry names, and the id that it will name, for people."""
        field = PARTS[part][0]
        return (getattr(self.before, field) or "-", getattr(self.after, field) or "-")


def accepting(platform: Platform, part: Part, word: Decision) -> Change:
    """The change that accepts what exists now as the replacement of `part`."""
    here, watch = platform.identity, platform.watch

    def change(entry: LedgerEntry) -> LedgerEntry | None:
        now = watch.now(entry.topic)
        if not now.partitions:
            return None  # nothing can be accepted for a topic that does not exist
        told = remade_on(watch, entry, now) if part == "topic" else None
        return accepted(entry, part, here, now.topic_id, told, word)

    return change


def adopting(platform: Platform) -> Change:
    """The change that writes the present ids into entries that lack them.
    Entries whose topic was created again are not changed."""
    here, watch = platform.identity, platform.watch

    def change(entry: LedgerEntry) -> LedgerEntry | None:
        now = watch.now(entry.topic)
        if remade_on(watch, entry, now) is not None:
            return None
        return adopted(entry, here, now.topic_id)

    return change


def wanted(entries: Iterable[LedgerEntry], change: Change) -> Iterator[Rewrite]:
    """The rewrites that `change` would make. Writes nothing."""
    for entry in entries:
        after = change(entry)
        if after is not None:
            yield Rewrite(entry, after)


def rewrite(platform: Platform, key: str, change: Change) -> Rewrite | None:
    """Rewrite the newest entry of `key`, as it is after the claim; None if nothing is to change any more.

    The claim fences a run that publishes the window under this code location or under the one that the entry
    names.
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
