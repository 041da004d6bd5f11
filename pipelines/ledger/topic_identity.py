"""Decides whether a topic is still the one that a ledger entry is about: pure functions of both."""

from collections.abc import Mapping

from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.history import whole_since
from resources.errors import SluiceError
from resources.wording import counted


class TopicRemade(SluiceError):
    """The topic was deleted and created again after a window was published to it. Nothing was written."""

    relaunch = False


def last_offsets(entry: LedgerEntry) -> dict[int, int]:
    """Kafka partition -> the last offset at which the window has a record, by the entry."""
    found: dict[int, int] = {}
    for one in whole_since(entry):
        for p, (_, last) in one.offsets.items():
            found[int(p)] = max(last, found.get(int(p), 0))
    return found


def remade(
    entry: LedgerEntry, *, topic_id: str | None, partitions: int, ends: Mapping[int, int]
) -> str | None:
    """What shows that the topic is not the one that `entry` is about; None if nothing does.

    `topic_id` (None if topics have no ids) and `partitions` describe the topic now. `ends`: the end offset of
    each Kafka partition that the entry names. A log that begins after the entry's offsets shows nothing: that
    is retention.
    """
    if not partitions:
        return "there is no such topic any more"
    if entry.topic_id and topic_id and entry.topic_id != topic_id:
        return told_of_ids(entry.topic_id, topic_id)
    for p, last in sorted(last_offsets(entry).items()):
        if p >= partitions:
            return f"the ledger names offsets in partition {p}, and the topic has {counted(partitions, 'partition')}"
        if ends[p] <= last:
            return (
                f"the ledger knows offsets up to {last:,} in partition {p}, and the topic ends at {ends[p]:,}"
            )
    return None


def told_of_ids(recorded: str, found: str) -> str:
    """The message if the ledger's topic id and the topic's id differ."""
    return f"the ledger says topic id {recorded}, and the topic has {found}"


def topic_remade(entry: LedgerEntry, told: str) -> TopicRemade:
    """The error for a command that would publish, correct or compare the window."""
    about = f"{entry.event} {entry.window}"
    return TopicRemade(
        about,
        f"topic {entry.topic} was deleted and made again, or its log was cut, since the window was published: {told}",
        next_step=f'sluice replay {about} --reason "the topic was made again" publishes the window again, from its '
        f'stored snapshot; where its records were restored: sluice ledger accept-topic {about} --reason "…" '
        "(docs/operating.md#where-the-ledger-is-valid)",
    )
