"""All generations of a window together: what was ever published for it, and the resulting state."""

from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.ledger.history import following, generations
from pipelines.publishing.request import Replay
from pipelines.publishing.selection import Selection
from pipelines.reconciling.expected import CannotReconcile
from pipelines.reconciling.reconciler import Reconciler
from pipelines.reconciling.records.pieces import Piece, between, pieces_of
from pipelines.reconciling.result import Reconciliation
from tests.pipelines.publishing.conftest import WINDOW, World
from tests.pipelines.reconciling.test_generations import entry_of, reconciled, rows

ID_FIELD = {"name": "event_id", "type": "string", "doc": "The event's id."}


def whole(world: World, entry: LedgerEntry | None = None, *, topic: str | None = None) -> Reconciliation:
    with Reconciler(world.event, world.platform()) as reconciler:
        return reconciler.reconcile_whole(WINDOW, entry=entry, topic=topic)


def with_first(entry: LedgerEntry, **changes: Any) -> LedgerEntry:
    """`entry` with a different first generation."""
    first, *rest = entry.earlier
    return entry.advanced(earlier=({**first, **changes}, *rest))


def corrected(world: World) -> LedgerEntry:
    """40 rows in one Kafka partition, then two other ones and a third."""
    world.create_topic(partitions=1)
    world.deliver(rows(40))
    world.deliver([*rows(40)[:38], ("k38", 3, 7), ("k39", 3, 8), ("new", 5, 9)])
    return entry_of(world)


def test_every_generation_is_read_back(world: World) -> None:
    assert whole(world).verdict == "unpublished"
    entry = corrected(world)
    assert (reconciled(world).expected, reconciled(world).generations) == (3, 1)
    found = whole(world)
    assert (found.verdict, found.generation, found.generations) == ("agrees", 2, 2)
    assert (found.expected, found.found, found.others, found.notes) == (43, 43, 0, ())
    assert found.told == "all 43 records of 2 generations are on the topic, each once and unaltered"

    # A record of the first generation that no longer exists: the newest generation alone does not show it.
    (first, last) = entry.earlier[0]["offsets"]["0"]
    lost = with_first(entry, offsets={"0": [first + 1, last]})
    assert reconciled(world, lost).verdict == "agrees"
    missing = whole(world, lost)
    assert (missing.verdict, missing.missing) == ("differs", 1)
    assert [e.key for e in missing.examples] == [world.seen(partitions=1)[0].key]


def test_a_copy_of_an_earlier_record_among_a_later_generation_is_a_copy(world: World) -> None:
    entry = corrected(world)
    copied = world.seen(partitions=1)[5]
    raw = Producer({"bootstrap.servers": world.bootstrap})
    values = [v for k, v in raw_records(world) if k.decode() == copied.key]
    raw.produce(world.topic, values[0], copied.key.encode())
    assert raw.flush(30) == 0
    wider = entry.advanced(offsets={"0": (entry.offsets["0"][0], entry.offsets["0"][1] + 2)})
    found = whole(world, wider)
    assert (found.verdict, found.duplicated) == ("differs", 1)
    assert found.examples[0].key == copied.key


def raw_records(world: World) -> list[tuple[bytes, bytes]]:
    from pipelines.reconciling.log import LogReader

    log = LogReader(world.settings())
    try:
        bounds = log.bounds(world.topic, [0])
        return [
            pair
            for records in log.read(world.topic, bounds)
            for pair in zip(records.keys.to_pylist(), records.values.to_pylist(), strict=True)
        ]
    finally:
        log.close()


def test_a_value_that_came_back_was_published_twice_and_agrees(world: World) -> None:
    for amount in (1, 2, 1):
        world.deliver([("a", 5, amount), ("b", 6, 1)])
    found = whole(world)
    assert (found.verdict, found.generations, found.expected) == ("agrees", 3, 4)


def test_an_interrupted_generation_counts_as_far_as_it_came(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resources.kafka.transactions import TransactionalProducer

    commit, commits = TransactionalProducer.commit, iter(range(10))

    def third_fails(self: TransactionalProducer) -> object:
        if next(commits) == 2:
            raise KeyboardInterrupt
        return commit(self)

    monkeypatch.setattr(TransactionalProducer, "commit", third_fails)
    with pytest.raises(KeyboardInterrupt):
        world.deliver(rows(100), settings={"transaction_rows": 30})
    monkeypatch.undo()
    world.deliver([*rows(99), ("k99", 7, 7)])
    found = whole(world)
    # The first 60 of a hundred, then the other 40.
    assert (found.verdict, found.generations, found.expected) == ("agrees", 2, 100)


def test_generations_under_other_contracts_and_keys(world: World) -> None:
    world.deliver(rows(20))
    world.define(
        body="return rows.assign(note='')",
        extra_fields=[{"name": "note", "type": ["null", "string"], "default": None, "doc": "Remark."}],
    )
    world.deliver(rows(20), on_definition_change="correct")
    world.define(
        body="return rows.assign(note='')",
        extra_fields=[{"name": "note", "type": ["null", "string"], "default": None, "doc": "Remark."}],
        key="amount",
    )
    world.deliver(rows(20), on_definition_change="correct")
    found = whole(world)
    assert (found.verdict, found.generations, found.expected) == ("agrees", 3, 60), found.told


def test_what_no_generation_has_sent_is_missing(world: World) -> None:
    entry = corrected(world)
    short = with_first(entry, rows_done=37)
    found = whole(world, short)
    assert (found.verdict, found.expected, found.missing, found.others) == ("differs", 42, 2, 3)
    assert "2 of the missing are in the window's snapshot and in no generation of it" in found.told
    # The third of the last three rows was corrected, and the correction was sent.
    assert [record.key for record in world.seen(partitions=1)[37:40]] == ["k36", "k37", "k38"]
    assert [e.key for e in found.examples] == ["k36", "k37"]
    # Unless rows were left out on purpose.
    assert whole(world, with_first(short, stale=3)).verdict == "agrees"


def test_replays_are_generations(world: World) -> None:
    world.deliver(rows(30))
    replay = Replay("one", selection=Selection(keys=frozenset({"k3", "k4"})))
    assert world.publish(reason="asked", replay=replay).published == 2
    assert (reconciled(world).verdict, reconciled(world).expected) == ("agrees", 2)
    assert world.publish(reason="asked", replay=Replay("two")).published == 30
    found = whole(world)
    assert (found.verdict, found.generations, found.expected) == ("agrees", 3, 62)


def test_a_replay_to_a_shadow_topic_keeps_the_ids_and_is_verified_there(world: World) -> None:
    world.define(more='event_id="event_id",', extra_fields=[ID_FIELD])
    world.deliver(rows(30))
    shadow = f"{world.topic}.shadow"
    for n, keys in enumerate(([], ["k3", "k4"])):
        replay = Replay(str(n), selection=Selection(keys=frozenset(keys)), topic=shadow)
        world.publish(reason="asked", replay=replay)
    key = ledger_key(shadow, WINDOW)
    entry = read_entry(key, world.platform().ledger.latest(key))
    assert entry is not None
    assert entry.shadow_of == world.topic
    assert (reconciled(world, entry).verdict, reconciled(world, entry).expected) == ("agrees", 2)
    found = whole(world, topic=shadow)
    assert (found.verdict, found.generations, found.expected) == ("agrees", 2, 32)
    assert (whole(world).generations, whole(world).expected) == (1, 30)
    world.define(more='event_id="event_id",', extra_fields=[ID_FIELD], topic=f"{world.name}.other.v1")
    with pytest.raises(CannotReconcile, match="has events of"):
        whole(world, topic=shadow)


def test_generations_that_are_not_known_any_more_are_named_and_the_rest_is_read(world: World) -> None:
    entry = corrected(world)
    world.deliver([*rows(40)[:37], ("new", 5, 10)])
    found = whole(world, entry_of(world).advanced(earlier=()))
    assert (found.verdict, found.generations, found.expected) == ("agrees", 1, 1)
    assert found.notes == (
        "not read: generations 1 to 2, which the ledger, the snapshot store or the topic has no more",
    )

    store = world.platform().snapshots
    first = store.find(entry.event, WINDOW, "transformed", entry.earlier[0]["snapshot"])
    assert first is not None
    Path(store.url(first)).unlink()
    found = whole(world)
    assert (found.verdict, found.generations, found.expected) == ("agrees", 2, 4)
    assert found.notes == (
        "not read: generation 1, which the ledger, the snapshot store or the topic has no more",
    )


def test_generations_may_have_had_fewer_partitions(world: World) -> None:
    world.create_topic(partitions=2)
    world.deliver(rows(60))
    admin = AdminClient({"bootstrap.servers": world.bootstrap})
    admin.create_partitions([NewPartitions(world.topic, 5)])[world.topic].result()
    world.deliver(rows(60, amount=3))
    first, second = generations(entry_of(world))
    assert (len(first.offsets), len(second.offsets)) == (2, 5)
    assert whole(world).verdict == "agrees"
    # The first generation is deleted, except for the last records of one partition;
    # of the second, one record in another.
    ends = {0: first.offsets["0"][1] - 3, 1: second.offsets["1"][0] + 1}
    asked = [TopicPartition(world.topic, p, offset) for p, offset in ends.items()]
    for future in admin.delete_records(asked).values():
        future.result()
    found = whole(world)
    # k0 is the same in both.
    assert (found.verdict, found.missing, found.expected) == ("reduced", 0, 119), found.told
    assert found.deleted_by_policy == 60 - 4 + 1


# Without a broker.


def entry_with(generation: int, offsets: dict[str, tuple[int, int]], **more: Any) -> LedgerEntry:
    made = LedgerEntry(
        event="d/e", window="w", topic="t", generation=generation, kind="backfill", status="published",
        snapshot="5" * 64, rows_total=1, rows_done=1, code_version="c" * 16, contract="c" * 64, schema_id=1, run_id="r",
        written_at="2026-01-01T00:00:00+00:00", offsets=offsets,
    )  # fmt: skip
    return made.advanced(**more)


def test_what_an_entry_remembers_comes_back_whole_and_is_bounded() -> None:
    first = entry_with(1, {"0": (0, 9), "12": (5, 6)})
    second = entry_with(2, {"0": (20, 29)}, kind="correction", delta="d" * 64, vanished="e" * 64, stale=3)
    newest = following(
        entry_with(3, {"0": (40, 40)}, kind="replay", delta="f" * 64), following(second, first)
    )
    stored = read_entry(newest.key, newest.to_json())
    assert stored == newest
    assert generations(stored or newest) == [
        first.advanced(kind="backfill"),
        second.advanced(earlier=()),
        newest,
    ]
    for generation in range(4, 200):
        newest = following(entry_with(generation, {}), newest)
    assert [one.generation for one in generations(newest)] == list(range(149, 200))
    wide = {str(p): (10**9, 2 * 10**9) for p in range(1_000)}
    for generation in range(200, 220):
        newest = following(entry_with(generation, wide), newest)
    assert len(newest.to_json()) < 300_000
    assert 2 < len(generations(newest)) < 20


def test_pieces_and_what_lies_between_them() -> None:
    first, second = entry_with(1, {"0": (0, 9), "1": (4, 4)}), entry_with(2, {"0": (20, 29), "2": (0, 3)})
    pieces = pieces_of([first, second])
    assert pieces == [Piece(1, 0, 0, 10), Piece(1, 1, 4, 5), Piece(2, 0, 20, 30), Piece(2, 2, 0, 4)]
    bounds = {0: (3, 50), 1: (0, 5), 2: (0, 9)}
    assert between(pieces, bounds) == [{0: (10, 20), 2: (4, 9)}, {0: (30, 50)}]
    assert (pieces[0].kept(bounds).first, pieces[0].deleted(bounds)) == (3, 3)
    # The log now begins after the first piece, and within the second.
    assert between(pieces, {0: (25, 26), 1: (9, 9), 2: (0, 2)}) == []
    # Made again in between: offsets began again.
    again = entry_with(3, {"0": (0, 4)})
    assert pieces_of([second, again]) == [Piece(2, 2, 0, 4), Piece(3, 0, 0, 5)]
