"""How often a look reads the ledger, and which consumers are known: with brokers that give no topic ids,
and before the ledger has records of the topic."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.journal import consumption_watch
from pipelines.journal.consumption_watch import ConsumptionWatch, DeclaredConsumer, Looked, Memory
from pipelines.journal.entry import JournalRecord
from pipelines.ledger.entry import LedgerEntry
from resources.kafka.topics.watch import TopicNow
from tests.pipelines.journal.test_first_consumption import record, window

TOPIC = "happened.v1"
AGAIN = consumption_watch._AGAIN_SECONDS


class Installation:
    """Doubles of the brokers, the ledger and the journal. `committed` is what the group has committed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, topic_id: str | None) -> None:
        self.topic = TopicNow(topic_id, 3)
        self.entries: list[LedgerEntry] = []
        self.journal: list[JournalRecord] = []
        self.committed, self.seconds, self.ledger_reads = {0: 50}, 1e9, 0
        self.memory = Memory()
        monkeypatch.setattr(consumption_watch, "GroupReader", self._reader)
        monkeypatch.setattr(consumption_watch, "Journal", self._journal)
        monkeypatch.setattr(consumption_watch, "read_topics", self._ledger)

    def look(self) -> Looked:
        watch = SimpleNamespace(
            ask=lambda *_names: lambda: {TOPIC: self.topic}, ends=lambda _name, ps: dict.fromkeys(ps, 1_000)
        )
        platform: Any = SimpleNamespace(watch=watch, settings=None)
        consumer = DeclaredConsumer("tests/happened", TOPIC, "billing", ("g1",))
        # Each look has the memory that Dagster keeps as text.
        self.memory = Memory.from_json(self.memory.to_json())
        return ConsumptionWatch(
            platform, [consumer], self.memory, by="sensor", now=lambda: self.seconds
        ).look()

    def looks_while_it_commits(self, number: int) -> list[Looked]:
        found = []
        for _ in range(number):
            self.committed = {0: self.committed[0] + 1}
            self.seconds += 30
            found.append(self.look())
        return found

    def _reader(self, *_: object, **__: object) -> Any:
        return SimpleNamespace(
            existing=lambda groups: set(groups),
            committed=lambda _group, places: {topic: dict(self.committed) for topic in places},
            forget=lambda _group: None,
            close=lambda: None,
        )

    def _journal(self, _settings: object) -> Any:
        own = SimpleNamespace(records=tuple(self.journal), ids={one.id for one in self.journal})
        return SimpleNamespace(read=lambda _names: {TOPIC: own}, write=self.journal.extend)

    def _ledger(self, *_: object, **__: object) -> Any:
        self.ledger_reads += 1
        return SimpleNamespace(entries=self.entries)


def test_without_ids_a_recorded_consumer_is_known_to_a_look_without_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Installation(monkeypatch, None)
    there.entries = [window("2013-01-01", {"0": (10, 19)}, topic_id=None)]
    there.journal = [record(None, "2013-01-05T00:00:00+00:00")]
    looked = there.look()
    assert not looked.recorded and looked.waiting == 0


def test_without_ids_the_ledger_is_not_read_at_each_look_after_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = Installation(monkeypatch, None)
    there.entries = [window("2013-01-01", {"0": (10, 19)}, topic_id=None)]
    assert len(there.look().recorded) == 1
    assert [one.waiting for one in there.looks_while_it_commits(10)] == [0] * 10
    assert there.ledger_reads == 1
    there.seconds += AGAIN
    there.looks_while_it_commits(10)
    assert there.ledger_reads == 2 and len(there.journal) == 1


@pytest.mark.parametrize("topic_id", [None, "id-now"])
def test_before_the_ledger_knows_a_record_it_is_not_read_at_each_look(
    monkeypatch: pytest.MonkeyPatch, topic_id: str | None
) -> None:
    there = Installation(monkeypatch, topic_id)
    assert [one.waiting for one in there.looks_while_it_commits(10)] == [1] * 10
    assert there.ledger_reads == 1
    there.entries = [window("2013-01-01", {"0": (10, 19)}, topic_id=topic_id)]
    there.seconds += AGAIN
    assert len(there.look().recorded) == 1


def test_a_topic_made_again_is_compared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Installation(monkeypatch, "id-now")
    there.look()
    there.topic = TopicNow("id-next", 3)
    there.entries = [window("2013-01-01", {"0": (10, 19)}, topic_id="id-next")]
    assert len(there.look().recorded) == 1


def test_offsets_that_moved_are_compared_at_once_while_they_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Installation(monkeypatch, None)
    there.entries, there.committed = [window("2013-01-01", {"0": (10, 19)}, topic_id=None)], {0: 9}
    assert there.look().waiting == 1
    assert [len(one.recorded) for one in there.looks_while_it_commits(3)] == [0, 1, 0]
