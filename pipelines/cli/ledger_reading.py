"""The ledger's entries, without creating the ledger."""

from pipelines.publishing.entry import LedgerEntry, read_entry
from resources.kafka.topics import describe_topic
from resources.platform import Platform


def entries_of(platform: Platform) -> list[LedgerEntry]:
    """Newest committed entry of every window, by event and window; none where there is no ledger topic."""
    if describe_topic(platform.settings, platform.settings.ledger_topic) is None:
        return []
    found = (read_entry(key, value) for key, value in platform.ledger.entries())
    return sorted(
        (entry for entry in found if entry is not None), key=lambda entry: (entry.event, entry.window)
    )


def not_yet(platform: Platform) -> str:
    """How to say that nothing is there."""
    return f" on {platform.settings.bootstrap_servers} yet (ledger topic {platform.settings.ledger_topic})"
