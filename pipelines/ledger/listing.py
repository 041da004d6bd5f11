"""The ledger's entries, without creating the ledger."""

from dataclasses import dataclass

from pipelines.ledger.entry import LedgerDamaged, LedgerEntry, read_entry
from resources.kafka.topics.topics import describe_topic
from resources.platform import Platform


@dataclass(frozen=True)
class Ledger:
    """The newest committed entry of every window, by event and window; and the records that cannot be read, by key."""

    entries: tuple[LedgerEntry, ...] = ()
    damaged: tuple[tuple[str, LedgerDamaged], ...] = ()

    def windows_of(self, topic: str) -> list[str]:
        """Windows of a topic that the ledger has a record of, readable or not."""
        found = {entry.window for entry in self.entries if entry.topic == topic}
        return sorted(found | set(self.damaged_windows_of(topic)))

    def damaged_windows_of(self, topic: str) -> list[str]:
        """Windows of a topic whose record cannot be read."""
        return [key.removeprefix(f"{topic}|") for key, _ in self.damaged if key.startswith(f"{topic}|")]


def read_ledger(platform: Platform) -> Ledger:
    """The whole ledger; empty where there is no ledger topic. A damaged record leaves the others readable."""
    if describe_topic(platform.settings, platform.settings.ledger_topic) is None:
        return Ledger()
    entries: list[LedgerEntry] = []
    damaged: list[tuple[str, LedgerDamaged]] = []
    for key, value in platform.ledger.entries():
        try:
            entry = read_entry(key, value)
        except LedgerDamaged as error:
            damaged.append((key, error))
            continue
        if entry is not None:
            entries.append(entry)
    return Ledger(tuple(sorted(entries, key=lambda entry: (entry.event, entry.window))), tuple(damaged))


def not_yet(platform: Platform) -> str:
    """How to say that nothing is there."""
    return f" on {platform.settings.bootstrap_servers} yet (ledger topic {platform.settings.ledger_topic})"
