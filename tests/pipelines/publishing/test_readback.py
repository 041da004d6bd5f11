"""Events are read back with one connection for all windows of a run,
and only as far as there is something to read."""

from collections.abc import Generator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from pipelines.orchestration.windows import metadata
from pipelines.reconciling.records import event_reader as readback
from pipelines.reconciling.records.event_reader import EventReader, ReadBack
from tests.pipelines.publishing.conftest import WINDOW, World


@pytest.mark.parametrize("few", [1_000, 0])
def test_a_sample_ends_with_what_was_published(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Otherwise the end would be known only after a time without records, for every window."""
    embedded_world.rows([("a", 1, 1), ("b", 2, 2)])
    platform = embedded_world.platform()
    embedded_world.prepare(platform)
    result = embedded_world.publish(platform)
    read, asked = EventReader.fetched, []

    def counting(self: EventReader, *a: Any, **k: Any) -> Generator[ReadBack, None, None]:
        for record in read(self, *a, **k):
            asked.append(record.key)
            yield record
        asked.append("end")

    monkeypatch.setattr(EventReader, "fetched", counting)
    monkeypatch.setattr(metadata, "_FEW_RECORDS", few)
    with metadata.sampling(embedded_world.event, result, platform) as sample:
        lent = platform.reader._kept is None
        found = sample().value
    assert sorted(event["id"] for event in found) == ["a", "b"]  # type: ignore[call-overload, index, type-var]
    assert sorted(asked) == ["a", "b"]
    kept = platform.reader._kept
    assert kept is not None and kept.assignment() == []
    with metadata.sampling(embedded_world.event, result, platform):
        # Fetched in the background if there is little to fetch, and not at all if there is much.
        assert (kept.assignment() != []) == (few > 0)
        assert lent
    assert platform.reader._kept is kept and kept.assignment() == []


def test_a_sample_that_cannot_be_read_says_so(embedded_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window is published, whatever happens when it is read back."""
    embedded_world.rows([("a", 1, 1)])
    platform = embedded_world.platform()
    embedded_world.prepare(platform)
    result = embedded_world.publish(platform)

    def gone(*_: object) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "nobody is there"))

    monkeypatch.setattr(platform.reader, "lent", gone)
    with metadata.sampling(embedded_world.event, result, platform) as sample:
        assert "nobody is there" in str(sample().value)


def test_events_of_several_windows_are_read_by_one_consumer(embedded_world: World) -> None:
    embedded_world.rows([("a", 1, 1)])
    platform = embedded_world.platform()
    embedded_world.prepare(platform)
    result = embedded_world.publish(platform, window=WINDOW)
    reader = readback.EventReader(platform)
    starts = {p: first for p, (first, _) in result.offsets.items()}
    kept = []
    for _ in range(2):
        assert [record.key for record in reader.read(embedded_world.topic, starts)] == ["a"]
        kept.append(platform.reader._kept)
    assert kept[0] is kept[1] is not None
    platform.close()
    with pytest.raises(RuntimeError, match="closed"):
        kept[0].poll(0)
