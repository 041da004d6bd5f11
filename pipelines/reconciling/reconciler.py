"""Compares what a window should have put on its topic with the committed records that are there."""

import time
from collections.abc import Sequence
from dataclasses import replace

from pipelines.authoring.event import Event
from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.ledger.history import generations
from pipelines.ledger.identity import require_here
from pipelines.ledger.presence import remade_on
from pipelines.ledger.topic_identity import told_of_ids, topic_remade
from pipelines.publishing.stored_rows import require_size, rows_without_events, stamp_field
from pipelines.reconciling.comparison import Comparison
from pipelines.reconciling.expected import CannotReconcile, is_stored
from pipelines.reconciling.log import LogReader
from pipelines.reconciling.result import Reconciliation
from pipelines.reconciling.window import WindowComparison
from resources.kafka.topics.topics import Topic, describe_topic
from resources.platform import Platform
from resources.process.memory import give_back
from resources.process.scratch import scratch_room
from resources.wording import counted


class Reconciler:
    """Reconciles windows of one event, with one consumer for all of them, or two if only some have record
    timestamps to compare. Use as a context manager."""

    def __init__(self, event: Event, platform: Platform) -> None:
        self._event, self._platform = event, platform
        self._topics: dict[str, Topic] = {}
        self._logs: dict[bool, LogReader] = {}

    def _log(self, stamps: bool) -> LogReader:
        if stamps not in self._logs:
            self._logs[stamps] = LogReader(self._platform.settings, stamps=stamps)
        return self._logs[stamps]

    def reconcile(self, window: str, *, entry: LedgerEntry | None = None) -> Reconciliation:
        """Compare the newest generation of `window`, by `entry` or the ledger, with the topic.

        Raises CannotReconcile if it is not known what should be there (a snapshot or the topic is gone), and
        TransientError. Writes nothing.
        """
        started = time.monotonic()
        entry = entry or self._newest(window, self._event.topic)
        return self._compared(window, [entry] if entry else [], started, whole=False)

    def reconcile_whole(
        self, window: str, *, topic: str | None = None, entry: LedgerEntry | None = None
    ) -> Reconciliation:
        """Compare every generation of `window` that `entry` or the ledger knows with the topic, and the state
        that they add up to; on the event's topic, or on its shadow topic `topic`. Raises like `reconcile`,
        and TopicRemade if the topic was created again. An earlier generation whose snapshot is gone is left
        out, and the result says so."""
        started = time.monotonic()
        entry = entry or self._newest(window, topic or self._event.topic)
        if entry is None:
            return self._compared(window, [], started, whole=True)
        *earlier, newest = generations(entry)
        for one in (*earlier, newest):
            require_size(self._platform, one)
        there = [one for one in earlier if one.displaced < one.rows_done or not one.rows_done]
        known = [*(one for one in there if is_stored(self._platform, one)), newest]
        return self._compared(window, known, started, whole=True)

    def _newest(self, window: str, topic: str) -> LedgerEntry | None:
        key = ledger_key(topic, window)
        entry = read_entry(key, self._platform.ledger.latest(key))
        if entry is not None and self._event.topic not in (entry.topic, entry.shadow_of):
            raise CannotReconcile(
                f"topic {topic}",
                f"has events of {entry.shadow_of or entry.topic} in this window, not of {self._event.topic}",
            )
        return entry

    def _compared(
        self, window: str, known: Sequence[LedgerEntry], started: float, *, whole: bool
    ) -> Reconciliation:
        if not known:
            return Reconciliation(self._event.full_name, window, "unpublished")
        require_here(known[-1], self._platform.identity)
        topic = self._topic(known[-1])
        if known[-1].rows_done and known[-1].displaced == known[-1].rows_done:
            raise CannotReconcile(
                f"{known[-1].event} {window}",
                f"where its {counted(known[-1].rows_done, 'record is', 'records are')} on topic {known[-1].topic} is not known, so they cannot be "
                "told from other records: their offsets were those of another topic",
                next_step="what is published of the window from now on is compared; a replay publishes all of it again",
            )
        log = self._log(any(stamp_field(self._event, one) for one in known))
        with scratch_room(), Comparison(self._platform.settings.memory_limit) as comparison:
            compared = WindowComparison(
                self._event, self._platform, log, topic, known, comparison, whole=whole
            )
            found = compared.reconcile()
        give_back(found.found)
        newest = known[-1]
        # Not all brokers give topics an id. If the log ends before the entry's offsets, the records that
        # agree were written by somebody else.
        if whole and found.ok and (told := remade_on(self._platform.watch, newest)):
            raise topic_remade(newest, told)
        no_rows = not found.expected and (
            rows_without_events(self._platform, newest.event, window, newest.snapshot) == 0
        )
        return replace(found, seconds=time.monotonic() - started, no_rows=no_rows)

    def _topic(self, entry: LedgerEntry) -> Topic:
        """The topic as it is now.
        Raises TopicRemade if it is not the topic that holds the entry's offsets."""
        name, known = entry.topic, self._topics.get(entry.topic)
        now = self._platform.watch.settled(name, max(map(int, entry.offsets), default=0) + 1)
        if known is None or (known.partitions, known.topic_id) != (now.partitions, now.topic_id):
            found = describe_topic(self._platform.settings, name) if now.partitions else None
            if found is None:
                raise CannotReconcile(f"topic {name}", "is gone, and with it every record of this window")
            # Only its settings are taken.
            # Its partition count may come from a broker that does not know all partitions yet.
            known = self._topics[name] = replace(found, partitions=now.partitions)
        if entry.topic_id and now.topic_id and entry.topic_id != now.topic_id:
            raise topic_remade(entry, told_of_ids(entry.topic_id, now.topic_id))
        return known

    def close(self) -> None:
        """Free the consumers."""
        while self._logs:
            self._logs.popitem()[1].close()

    def __enter__(self) -> "Reconciler":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reconcile_window(
    event: Event, window_key: str, platform: Platform, *, entry: LedgerEntry | None = None
) -> Reconciliation:
    """Reconcile one window. For several windows use a Reconciler, which keeps its consumer."""
    with Reconciler(event, platform) as reconciler:
        return reconciler.reconcile(window_key, entry=entry)
