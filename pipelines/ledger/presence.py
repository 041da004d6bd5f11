"""What a run knows of the topics that it writes to. It checks them before each decision and before each
commit.

Offsets and Kafka partitions are valid on one topic only. If two checks give the same answer, every record
that was acknowledged between them is on that topic.
"""

from collections.abc import Callable

from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.topic_identity import TopicRemade, last_offsets, remade
from pipelines.run_events import Said, Tell
from resources.kafka.topics.ledger_topic import LedgerRemade
from resources.kafka.topics.watch import TopicNow, TopicWatch
from resources.kafka.transactions import Delivered
from resources.wording import counted


class Presence:
    """The knowledge of one run. Not for use by several threads."""

    def __init__(self, watch: TopicWatch, ledger_topic: str, *, tell: Tell) -> None:
        self._watch, self._ledger_topic, self._tell = watch, ledger_topic, tell
        self._known: dict[str, TopicNow] = {}
        self._last: dict[str, dict[int, int]] = {}
        self._written: dict[str, tuple[int, int]] = {}

    def ask(self, topic: str) -> Callable[[], TopicNow]:
        """Start to look up `topic`. The returned function waits for the result. It raises TopicRemade or
        LedgerRemade if the topic or the ledger is another one than before in this run."""
        asked = self._watch.ask(topic, self._ledger_topic)

        def answer() -> TopicNow:
            found = asked()
            self._note_ledger(self._settled(self._ledger_topic, found[self._ledger_topic]))
            now = self._settled(topic, found[topic])
            self._note(topic, now)
            return now

        return answer

    def remade(self, entry: LedgerEntry, now: TopicNow) -> str | None:
        """What shows that the topic is not the one that `entry` is about; None if nothing does."""
        return remade_on(self._watch, entry, now)

    def before_commit(self, topic: str, delivered: Delivered) -> str | None:
        """Called when all records of a transaction are acknowledged. Returns the topic's id, for the ledger.
        Raises TopicRemade or LedgerRemade; then nothing of the transaction may be committed."""
        now = self.ask(topic)()
        last = self._last.setdefault(topic, {})
        # If topics have no ids, a topic that was created again is recognised by its end offset.
        ends = self._watch.ends(topic, delivered.offsets) if now.topic_id is None else {}
        for p, (first, end) in sorted(delivered.offsets.items()):
            if first <= last.get(p, -1):
                raise _in_this_run(
                    topic, f"partition {p} had offset {last[p]:,}, and now {first:,} comes again"
                )
            if p in ends and ends[p] <= end:
                raise _in_this_run(topic, f"partition {p} had offset {end:,}, and ends at {ends[p]:,}")
            last[p] = end
        return now.topic_id

    def committed(self, entry: LedgerEntry) -> None:
        """Called after this run has committed `entry`.
        From now on the ledger holds it, or a later entry of its window."""
        self._written[entry.key] = (entry.generation, entry.rows_done)

    def require_remembered(self, key: str, entry: LedgerEntry | None) -> None:
        """Raise LedgerRemade if the ledger's newest entry of `key` is older than
        what this run has committed."""
        written = self._written.get(key, (0, 0))
        if written > ((entry.generation, entry.rows_done) if entry else (0, 0)):
            raise LedgerRemade(self._ledger_topic, f"what this run has written of {key} is not there")

    def _settled(self, topic: str, now: TopicNow) -> TopicNow:
        before = self._known.get(topic)
        if before is None or now.partitions >= before.partitions:
            return now
        return self._watch.settled(topic, before.partitions)

    def _note(self, topic: str, now: TopicNow) -> None:
        before = self._known.get(topic)
        if before is None:
            if now.partitions:
                self._known[topic] = now
            return
        if not now.partitions:
            raise _in_this_run(topic, "there is no such topic any more")
        if before.topic_id != now.topic_id:
            raise _in_this_run(topic, f"its id was {before.topic_id}, and is {now.topic_id}")
        if now.partitions < before.partitions:
            raise _in_this_run(
                topic, f"it had {counted(before.partitions, 'partition')}, and has {now.partitions}"
            )
        if now.partitions > before.partitions:
            self._known[topic] = now
            told = (
                f"topic {topic} has {counted(now.partitions, 'partition')} now, and had {before.partitions} when this run began: "
                "keys move to other partitions, and the new events of a key may be read before its old ones"
            )
            self._tell(Said(text=told))

    def _note_ledger(self, now: TopicNow) -> None:
        if self._ledger_topic not in self._known and not now.partitions:
            return  # created a moment ago; the broker that answered does not know it yet
        before = self._known.setdefault(self._ledger_topic, now)
        if not now.partitions:
            raise LedgerRemade(self._ledger_topic, "it is gone")
        if before.topic_id != now.topic_id:
            raise LedgerRemade(self._ledger_topic, f"its id was {before.topic_id}, and is {now.topic_id}")


def remade_on(watch: TopicWatch, entry: LedgerEntry, now: TopicNow | None = None) -> str | None:
    """What shows that the topic of `entry` is not the one that the entry is about; None if nothing does.
    `now`: the topic as it was found a moment ago; looked up if not given."""
    last = last_offsets(entry)
    least = max(last, default=0) + 1
    if now is None or now.partitions < least:
        now = watch.settled(entry.topic, least)
    ends = watch.ends(entry.topic, [p for p in last if p < now.partitions])
    return remade(entry, topic_id=now.topic_id, partitions=now.partitions, ends=ends)


def _in_this_run(topic: str, told: str) -> TopicRemade:
    return TopicRemade(
        f"topic {topic}",
        f"was deleted and made again during this run: {told}. What this run had published before is gone with it",
        next_step="find out who did it; then launch again: each window says what to do (docs/operating.md#ledger)",
    )
