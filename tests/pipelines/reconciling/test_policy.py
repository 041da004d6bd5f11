"""What the topic's own policies removed is reported as such, with figures;
what they cannot explain is a loss."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from pipelines.encoding import kafka_partitions
from pipelines.reconciling.expected import CannotReconcile
from pipelines.reconciling.log import Committed, LogReader
from pipelines.reconciling.result import Reconciliation
from tests.pipelines.publishing.conftest import WINDOW
from tests.pipelines.reconciling.conftest import Delivery, Sent, prepared, text, varint


def removed(found: Reconciliation) -> tuple[int, int, int]:
    return found.missing, found.deleted_by_policy, found.compacted


def test_what_retention_deleted_is_counted_and_is_no_loss(small: Delivery) -> None:
    here = small.on_new_topic()
    entry = here.send(here.records)
    # In partition 0 the first 40 offsets, in partition 1 everything, in partition 2 nothing.
    sizes = [last + 1 for _, last in (entry.offsets[p] for p in "012")]
    here.delete_before({0: 40, 1: sizes[1]})
    found = here.reconcile(entry)
    assert (found.verdict, found.ok) == ("reduced", True)
    assert removed(found) == (0, 40 + sizes[1], 0)
    assert found.found == 1_000 - 40 - sizes[1]
    assert "deleted by the topic's retention" in found.told


def test_what_retention_deletes_while_it_is_read_is_no_loss_either(
    small: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = small.on_new_topic()
    entry = here.send(here.records)
    real, before = LogReader.read, iter([{0: 20}, {0: 40, 1: 1}])

    def read(self: LogReader, *ranges: Any) -> Iterator[Committed]:
        # First for the sums, then record by record: the bounds are known, but nothing is read yet.
        here.delete_before(next(before, {}))
        yield from real(self, *ranges)

    monkeypatch.setattr(LogReader, "read", read)
    found = here.reconcile(entry)
    assert (found.verdict, found.ok) == ("reduced", True)
    assert removed(found) == (0, 41, 0)
    assert found.found == 1_000 - 41
    assert "41 deleted by the topic's retention" in found.told


def test_a_loss_behind_what_retention_deleted_is_still_a_loss(small: Delivery) -> None:
    here = small.on_new_topic()
    in_first = [n for n, (key, _) in enumerate(here.records) if place(key) == 0]
    lost = in_first[100]
    entry = here.send(here.records[:lost] + here.records[lost + 1 :])
    here.delete_before({0: 40})
    found = here.reconcile(entry)
    assert (found.verdict, removed(found)) == ("differs", (1, 40, 0))
    assert [(e.key, e.kafka_partition) for e in found.examples] == [
        ((here.records[lost][0] or b"").decode(), 0)
    ]
    assert "1 missing, 40 deleted by the topic's retention" in found.told


def test_records_of_others_that_were_deleted_excuse_no_loss(small: Delivery) -> None:
    here = small.on_new_topic(partitions=1)
    lost = 600
    others: list[Sent] = [(b"stranger %d" % n, b"") for n in range(900)]
    entry = here.send([here.records[0], *others, *here.records[1:lost], *here.records[lost + 1 :]])
    # The window's first record is deleted, and 849 records of others.
    here.delete_before({0: 850})
    found = here.reconcile(entry)
    assert (found.verdict, removed(found)) == ("differs", (1, 1, 0))
    assert [e.key for e in found.examples] == [(here.records[lost][0] or b"").decode()]


def test_no_more_is_put_down_to_retention_than_it_can_have_deleted(small: Delivery) -> None:
    here = small.on_new_topic()
    in_first = [n for n, (key, _) in enumerate(here.records) if place(key) == 0]
    # The first hundred were never written, and retention has deleted ten offsets of the others.
    entry = here.send([r for n, r in enumerate(here.records) if n not in in_first[:100]])
    here.delete_before({0: 10})
    found = here.reconcile(entry)
    assert (found.verdict, removed(found)) == ("differs", (100, 10, 0))


def place(key: bytes | None, count: int = 3) -> int:
    import pyarrow as pa

    return int(kafka_partitions(pa.array([key], pa.binary()), count)[0])


@pytest.mark.parametrize("deleted", [40, None], ids=["in part", "altogether"])
def test_partitions_added_since_do_not_confuse_what_retention_deleted(
    small: Delivery, deleted: int | None
) -> None:
    here = small.on_new_topic()
    entry = here.send(here.records)
    admin = AdminClient({"bootstrap.servers": here.bootstrap})
    admin.create_partitions([NewPartitions(here.topic, 7)])[here.topic].result()
    ends = {int(p): last + 1 for p, (_, last) in entry.offsets.items()}
    here.delete_before({0: deleted} if deleted else ends)
    found = here.reconcile(entry)
    assert (found.verdict, removed(found)) == ("reduced", (0, deleted or 1_000, 0))


def superseded(here: Delivery) -> set[int]:
    """Numbers of the records that have a later record of the same key."""
    return set(range(len(here.records))) - set({key: n for n, (key, _) in enumerate(here.records)}.values())


def test_a_record_superseded_on_a_compacted_topic_is_no_loss(small: Delivery) -> None:
    here = small.on_new_topic(cleanup_policy="compact")
    found = here.reconcile(here.send_with_holes(here.records, superseded(here)))
    assert (found.verdict, removed(found)) == ("reduced", (0, 0, 700))
    assert "300 of 1,000 records are on the topic, unaltered; 700 removed by compaction" in found.told


def test_what_never_came_is_a_loss_though_its_key_has_a_newer_record(small: Delivery) -> None:
    here = small.on_new_topic(cleanup_policy="compact")
    lost = 100
    assert lost in superseded(here)
    # Nothing was compacted: the neighbours' offsets have no gap for it.
    found = here.reconcile(here.send([r for n, r in enumerate(here.records) if n != lost]))
    assert (found.verdict, removed(found)) == ("differs", (1, 0, 0))
    assert [e.key for e in found.examples] == ["k100"]


def test_a_later_record_of_another_window_supersedes_too(small: Delivery) -> None:
    here = small.on_new_topic(cleanup_policy="compact")
    key = here.records[850][0]
    own = {n for n, (k, _) in enumerate(here.records) if k == key}
    assert len(own) == 3
    entry = here.send_with_holes(here.records, own)
    assert removed(here.reconcile(entry)) == (3, 0, 0)
    here.send([(key, of_the_next_day(here, key or b""))])
    found = here.reconcile(entry)
    assert (found.verdict, removed(found)) == ("reduced", (0, 0, 3))


def test_only_a_later_record_supersedes(small: Delivery) -> None:
    here = small.on_new_topic(cleanup_policy="compact")
    key = here.records[850][0] or b""
    # A record of the next day is before the window's last record of that key, which is missing.
    stranger: list[Sent] = [(key, of_the_next_day(here, key))]
    found = here.reconcile(here.send_with_holes([*here.records[:700], *stranger, *here.records[700:]], {851}))
    assert (found.verdict, removed(found)) == ("differs", (1, 0, 0))
    behind = here.on_new_topic(cleanup_policy="compact")
    found = behind.reconcile(
        behind.send_with_holes([*here.records[:900], *stranger, *here.records[900:]], {850})
    )
    assert (found.verdict, removed(found)) == ("reduced", (0, 0, 1))


def of_the_next_day(here: Delivery, key: bytes) -> bytes:
    head = here.entry.schema_id.to_bytes(5, "big")
    return head + text(key) + varint(1_356_998_400_000_000 + 100_000_000_000) + varint(1)


def test_an_altered_record_does_not_pass_for_a_newer_one(small: Delivery) -> None:
    here = small.on_new_topic(cleanup_policy="compact")
    records = list(here.records)
    key, value = records[500]
    records[500] = (key, (value or b"")[:-1] + b"\x00")
    found = here.reconcile(here.send(records))
    assert (found.verdict, found.altered, found.compacted) == ("differs", 1, 0)
    assert found.examples[0].key == (key or b"").decode()


def test_a_topic_made_anew_has_lost_everything_and_says_so(small: Delivery) -> None:
    here = small.on_new_topic()
    entry = here.send(here.records)
    found = replace(here.on_new_topic(partitions=2)).reconcile(
        entry.advanced(topic=(there := here.on_new_topic(partitions=2)).topic)
    )
    assert there.topic != here.topic
    assert (found.verdict, found.missing) == ("differs", 1_000)
    assert "the topic was made anew or its log was cut" in found.told
    with pytest.raises(CannotReconcile, match="is gone"):
        here.reconcile(entry.advanced(topic="never-there"))


def test_equal_records_at_the_edge_of_what_was_deleted(small: Delivery) -> None:
    world = small.world
    world.rows([("same", 5, 1)] * 4 + [("same", 6, 1)])
    here = prepared(world).on_new_topic(partitions=1)
    entry = here.send(here.records)
    here.delete_before({0: 2})
    found = here.reconcile(entry)
    assert (found.verdict, found.found, removed(found)) == ("reduced", 3, (0, 2, 0))
    assert world.event.windows.window(WINDOW).key == WINDOW
