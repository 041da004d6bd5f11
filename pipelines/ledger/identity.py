"""Checks that a ledger entry is about this Kafka cluster, this snapshot store and this code location.

The entry may be about others: it was copied with its topic, a worker has the settings of another
installation, or a store was set up anew. Then a person decides with `sluice ledger accept-…`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.history import displaced
from resources.errors import SluiceError
from resources.identity import Identity
from resources.settings import variable

Part = Literal["topic", "cluster", "store", "location"]

# part -> the entry's field, its name for people, and the setting from which a process gets it
PARTS: Mapping[Part, tuple[str, str, str]] = {
    "cluster": ("cluster_id", "Kafka cluster", "kafka.bootstrap.servers"),
    "store": ("store_id", "snapshot store", "snapshots"),
    "location": ("code_location", "code location", "code_location"),
    "topic": ("topic_id", "topic", "kafka.bootstrap.servers"),
}
_MOST_KEPT = 20


class LedgerOfElsewhere(SluiceError):
    """The ledger's entry is about another Kafka cluster, snapshot store or code location. Nothing was
    written.

    `part`: which of them; `recorded` and `found`: both ids.
    """

    relaunch = False

    def __init__(self, entry: LedgerEntry, part: Part, recorded: str, found: str) -> None:
        self.part, self.recorded, self.found = part, recorded, found
        _, what, setting = PARTS[part]
        about = f"{entry.event} {entry.window}"
        super().__init__(
            about,
            f"the ledger was written for {what} {recorded}, and this process uses {what} {found}",
            allowed=f"the {what} that the ledger names, or a person's word that the other one took its place",
            next_step=f"check {variable(setting)}; if the other one took its place: sluice ledger accept-{part} {about} "
            '--reason "…" (docs/operating.md#where-the-ledger-is-valid)',
        )


def require_here(entry: LedgerEntry, here: Identity) -> None:
    """Raise LedgerOfElsewhere if the entry names another id than the present one.
    Unknown ids are not compared."""
    for part in ("cluster", "location", "store"):
        field = PARTS[part][0]
        recorded, found = getattr(entry, field), getattr(here, field)
        if recorded is not None and found is not None and recorded != found:
            raise LedgerOfElsewhere(entry, part, recorded, found)


def stamped(entry: LedgerEntry, here: Identity) -> LedgerEntry:
    """`entry` with the present ids, as far as they are known."""
    known = {field: found for field, _, _ in PARTS.values() if (found := getattr(here, field, None))}
    return entry.advanced(**known)


@dataclass(frozen=True)
class Decision:
    """A person's decision: who accepts, when and why."""

    by: str
    at: str
    reason: str


def accepted(
    entry: LedgerEntry, part: Part, here: Identity, topic_id: str | None, remade: str | None, word: Decision
) -> LedgerEntry | None:
    """`entry` after a person has accepted what exists now; None if nothing differs.

    `topic_id`: the present id, None if the brokers give none; `remade`: what shows that the topic was created
    again. The records have other offsets on another topic, and on the topic of another cluster, so the
    entry's offsets are dropped.
    """
    field = PARTS[part][0]
    recorded = getattr(entry, field)
    if part == "topic":
        if remade is None:
            return None
        return _noted(displaced(entry).advanced(topic_id=topic_id), "topic", recorded, topic_id, word)
    found = getattr(here, field)
    if recorded is None or found is None or recorded == found:
        return None
    changed = entry.advanced(**{field: found})
    if part == "cluster" and (topic_id is None or topic_id != entry.topic_id):
        changed = displaced(changed).advanced(topic_id=topic_id)
    return _noted(changed, part, recorded, found, word)


def adopted(entry: LedgerEntry, here: Identity, topic_id: str | None) -> LedgerEntry | None:
    """`entry` with the present ids in place of missing ones; None if no known id is missing."""
    now = {"topic_id": topic_id, **here.__dict__}
    unknown = {name: found for name, found in now.items() if found and getattr(entry, name) is None}
    return entry.advanced(**unknown) if unknown else None


def _noted(
    entry: LedgerEntry, part: Part, recorded: str | None, found: str | None, word: Decision
) -> LedgerEntry:
    note: dict[str, Any] = {
        "what": part,
        "was": recorded,
        "now": found,
        "by": word.by,
        "at": word.at,
        "reason": word.reason,
    }
    return entry.advanced(accepted=(*entry.accepted, note)[-_MOST_KEPT:])
