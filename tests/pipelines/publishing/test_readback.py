"""Events read back: by one connection for a run's windows, and no further than there is something to see."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.orchestration import metadata
from pipelines.publishing import readback
from pipelines.publishing.readback import EventReader, ReadBack
from tests.pipelines.publishing.conftest import WINDOW, World


def test_a_sample_ends_with_what_was_published(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That nothing is behind it would be known only when nothing has come for a while, with every window."""
    embedded_world.rows([("a", 1, 1), ("b", 2, 2)])
    platform = embedded_world.platform()
    embedded_world.prepare(platform)
    result = embedded_world.publish(platform)
    read, asked = EventReader.read, []

    def counting(self: EventReader, *a: Any, **k: Any) -> Iterator[ReadBack]:
        for record in read(self, *a, **k):
            asked.append(record.key)
            yield record
        asked.append("end")

    monkeypatch.setattr(EventReader, "read", counting)
    sample = metadata._sample(embedded_world.event, result, platform).value
    assert sorted(event["id"] for event in sample) == ["a", "b"]  # type: ignore[union-attr, index, call-overload, arg-type]
    assert sorted(asked) == ["a", "b"]


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
