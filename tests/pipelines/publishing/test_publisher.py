"""Publishing a window: everything once, only what changed, and never what was not validated."""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.ledger.entry import ledger_key, read_entry
from pipelines.preflight.provisioning import PreflightFailed
from pipelines.publishing.next_generation.correction import BaseMissing, DefinitionChanged
from pipelines.publishing.publisher import NotPublishable, Publisher
from resources.errors import SluiceError, TransientError
from resources.kafka.errors import RecordTooLarge
from resources.kafka.topics.ledger_topic import LedgerLog, ledger_partition
from resources.kafka.topics.topics import TopicMissing
from resources.kafka.transactions import TransactionalProducer
from resources.snapshots import SnapshotError

if TYPE_CHECKING:
    from tests.pipelines.publishing.conftest import Row, World

WINDOW = "2013-01-01"


def rows(count: int, *, amount: int = 1) -> list["Row"]:
    """`count` rows with 7 keys, unordered."""
    return [(f"k{n * 5 % 7}", (n * 37) % 1440, amount * n) for n in range(count)]


def test_a_window_is_published_once_and_then_never_again(world: "World") -> None:
    first = world.deliver(rows(50))
    assert (first.action, first.generation, first.published, first.skipped) == ("backfill", 1, 50, 0)
    assert (first.rows_read, first.tombstones, first.gone, first.transactions) == (50, 0, 0, 1)
    assert world.counted() == Counter(rows(50))
    assert sum(last - start + 1 for start, last in first.offsets.values()) == 50

    again = world.deliver()
    assert (again.action, again.published, again.skipped, again.transactions) == ("nothing", 0, 50, 0)
    assert world.publish().action == "nothing"
    assert world.counted() == Counter(rows(50))


def test_the_ledger_says_what_is_on_the_topic(embedded_world: "World") -> None:
    world = embedded_world
    result = world.deliver(rows(50), reason="first delivery")
    key = ledger_key(world.topic, WINDOW)
    entry = read_entry(key, world.platform().ledger.latest(key))
    assert entry is not None
    assert (entry.event, entry.window, entry.topic) == ("tests/happened", WINDOW, world.topic)
    assert (entry.status, entry.kind, entry.generation) == ("published", "backfill", 1)
    assert (entry.rows_done, entry.rows_total, entry.snapshot) == (50, 50, result.snapshot)
    assert (entry.schema_id, entry.run_id, entry.reason) == (result.schema_id, "run", "first delivery")
    assert entry.offsets == {str(p): span for p, span in result.offsets.items()}
    assert entry.bytes_done == result.bytes_sent > 50 * 10


def test_each_key_keeps_its_order_over_all_transactions(world: "World") -> None:
    result = world.deliver(rows(200), settings={"transaction_rows": 30, "batch_rows": 17})
    assert result.transactions == 7
    ordered = sorted(rows(200), key=lambda row: (row[1], row[0], row[2]))
    keys = {row[0] for row in ordered}
    assert world.by_key() == {key: [row for row in ordered if row[0] == key] for key in keys}


def test_rows_that_fill_the_last_transaction_exactly_are_complete(embedded_world: "World") -> None:
    assert embedded_world.deliver(rows(60), settings={"transaction_rows": 30}).published == 60
    assert embedded_world.deliver().action == "nothing"
    assert embedded_world.counted() == Counter(rows(60))


def test_an_empty_window_is_published_as_empty(embedded_world: "World") -> None:
    world = embedded_world
    first = world.deliver([])
    assert (first.action, first.published, first.transactions) == ("backfill", 0, 1)
    assert world.deliver().action == "nothing"
    assert world.seen() == []
    # Late rows are a correction of the empty window.
    late = world.deliver(rows(3))
    assert (late.action, late.generation, late.published) == ("correct", 2, 3)
    emptied = world.deliver([])
    assert (emptied.action, emptied.published, emptied.gone) == ("correct", 0, 3)
    assert world.deliver().action == "nothing"


def test_only_the_difference_goes_out_and_it_says_what_it_is(world: "World") -> None:
    before = rows(40)
    world.define(more='headers="cloudevents",')
    world.deliver(before)
    ids = {record.row: record.headers["ce_id"] for record in world.seen()}

    changed = [(k, m, a + 1000) if a % 10 == 0 else (k, m, a) for k, m, a in before[1:]] + [("new", 5, 7)]
    result = world.deliver(changed, reason="late arrivals")
    fresh = [record for record in world.seen() if "sluice_kind" in record.headers]

    expected = Counter(changed) - Counter(before)
    assert Counter(record.row for record in fresh) == expected
    assert (result.action, result.generation) == ("correct", 2)
    assert (result.published, result.skipped) == (len(fresh), len(changed) - len(fresh))
    lost, new = (
        Counter(row[0] for row in rest.elements()) for rest in (Counter(before) - Counter(changed), expected)
    )
    assert result.gone == sum((lost - new).values()), "those that one of the same key replaces are not gone"
    assert {record.headers["sluice_kind"] for record in fresh} == {"correction"}
    assert {record.headers["sluice_generation"] for record in fresh} == {"2"}
    assert {record.headers["sluice_reason"] for record in fresh} == {"late arrivals"}
    assert not {record.headers["ce_id"] for record in fresh} & set(ids.values())

    # An event that comes back has its earlier id: a consumer that keeps ids knows that it has seen it.
    world.deliver(before)
    back = [record for record in world.seen() if record.headers.get("sluice_generation") == "3"]
    assert Counter(record.row for record in back) == Counter(before) - Counter(changed)
    assert {record.headers["ce_id"] for record in back} == {ids[record.row] for record in back}


def test_corrections_carry_headers_where_the_event_has_none(embedded_world: "World") -> None:
    world = embedded_world
    world.deliver(rows(5))
    assert [record.headers for record in world.seen()] == [{}] * 5
    world.deliver([*rows(5), ("new", 5, 7)])
    marked = [record for record in world.seen() if record.headers]
    assert len(marked) == 1
    assert set(marked[0].headers) == {"sluice_event_id", "sluice_kind", "sluice_generation", "sluice_reason"}


def test_equal_rows_are_neither_lost_nor_doubled(world: "World") -> None:
    twin: Row = ("k1", 10, 5)
    world.deliver([twin] * 3 + rows(5))
    assert world.counted()[twin] == 3
    assert world.deliver([twin] * 5 + rows(5)).published == 2
    assert world.counted()[twin] == 5
    less = world.deliver([twin] * 2 + rows(5))
    assert (less.published, less.gone) == (0, 3)
    assert world.deliver([twin] * 3 + rows(5)).published == 1


def test_keys_that_vanish_become_tombstones_where_the_event_asks_for_them(world: "World") -> None:
    world.define(more="tombstones=True,")
    world.deliver([("a", 1, 1), ("a", 2, 2), ("b", 1, 1), ("c", 1, 1)])
    result = world.deliver([("a", 1, 1), ("c", 1, 9)])
    assert (result.published, result.tombstones, result.skipped, result.gone) == (2, 1, 1, 2)
    buried = [record for record in world.seen() if record.value is None]
    assert [record.key for record in buried] == ["b"]
    assert buried[0].headers["sluice_kind"] == "correction"
    assert world.deliver().action == "nothing"
    # When the row is back, it is an event again.
    assert world.deliver([("a", 1, 1), ("b", 1, 1), ("c", 1, 9)]).published == 1


def test_without_that_a_vanished_row_is_only_counted(embedded_world: "World") -> None:
    embedded_world.deliver([("a", 1, 1), ("b", 1, 1)])
    result = embedded_world.deliver([("a", 1, 1)])
    assert (result.action, result.published, result.tombstones, result.gone) == ("correct", 0, 0, 1)


def test_a_redefined_event_asks_before_it_corrects(embedded_world: "World") -> None:
    world = embedded_world
    world.deliver(rows(10))
    world.define("return rows.assign(amount=rows['amount'] + (rows['amount'] > 5).astype('int64[pyarrow]'))")
    with pytest.raises(DefinitionChanged) as caught:
        world.deliver()
    assert (caught.value.changed, caught.value.rows, caught.value.gone) == (4, 10, 0)
    assert "4 of its 10 events are new or different" in str(caught.value)
    assert world.counted() == Counter(rows(10))

    assert world.publish(on_definition_change="correct").published == 4
    assert world.deliver().action == "nothing"


def test_a_new_module_with_the_same_rows_asks_nothing(embedded_world: "World") -> None:
    world = embedded_world
    world.deliver(rows(10))
    world.define("return rows.assign(amount=rows['amount'] + 0)")
    assert world.deliver().action == "nothing"


NOTE = {"name": "note", "type": ["null", "string"], "default": None, "doc": "a note"}
WITH_NOTE = "return rows.assign(note=None)"


def test_under_another_contract_every_event_is_another(embedded_world: "World") -> None:
    world = embedded_world
    world.define(more="tombstones=True,")
    world.deliver([("a", 1, 1), ("b", 2, 2)])
    world.define(WITH_NOTE, more="tombstones=True,", extra_fields=[NOTE])
    world.rows([("a", 1, 1), ("c", 2, 2)])
    world.prepare()
    with pytest.raises(DefinitionChanged, match="1 are gone"):
        world.publish()
    result = world.publish(on_definition_change="correct")
    assert (result.published, result.tombstones, result.gone) == (3, 1, 1)
    assert [record.key for record in world.seen() if record.value is None] == ["b"]


def test_under_another_key_every_event_is_another(embedded_world: "World") -> None:
    world = embedded_world
    world.deliver(rows(10))
    world.define(key="amount")
    with pytest.raises(DefinitionChanged) as asked:
        world.deliver()
    assert (asked.value.changed, asked.value.gone) == (10, 10)
    assert world.deliver(on_definition_change="correct").published == 10
    assert {seen.key for seen in world.seen()[-10:]} <= {str(amount) for _, _, amount in rows(10)} | {
        key for key, _, _ in rows(10)
    }


def test_under_a_renamed_key_field_events_of_the_same_keys_replace_their_predecessors(
    embedded_world: "World",
) -> None:
    world = embedded_world
    code = {"name": "code", "type": "string", "doc": "what"}
    world.define("return rows.assign(code=rows['id'])", more="tombstones=True,", extra_fields=[code])
    world.deliver([("a", 1, 1), ("b", 2, 2)])
    world.define(
        "return rows.assign(code=rows['id'])", more="tombstones=True,", extra_fields=[code], key="code"
    )
    world.rows([("a", 1, 1), ("c", 2, 2)])
    world.prepare()
    result = world.publish(on_definition_change="correct")
    assert (result.published, result.tombstones, result.gone) == (3, 1, 1)
    assert [record.key for record in world.seen() if record.value is None] == ["b"]


def test_a_window_is_corrected_though_the_contract_lacks_a_symbol_of_it(embedded_world: "World") -> None:
    world = embedded_world

    def define(*symbols: str) -> None:
        kind = {"type": "enum", "name": "Size", "symbols": symbols, "default": symbols[0]}
        size = {"name": "size", "type": kind, "doc": "how large"}
        sizes = f"rows['amount'].map(lambda n: {list(symbols)!r}[n % {len(symbols)}])"
        world.define(f"return rows.assign(size={sizes})", extra_fields=[size])

    define("SMALL", "LARGE")
    world.deliver([("a", 1, 0), ("b", 2, 1)])
    define("SMALL")
    result = world.deliver(on_definition_change="correct")
    # "a" stays as it is, because its values are the same.
    assert (result.published, result.gone) == (1, 0)
    assert [(seen.key, seen.value["size"]) for seen in world.seen() if seen.value] == [
        ("a", "SMALL"), ("b", "LARGE"), ("b", "SMALL"),
    ]  # fmt: skip


def test_a_renamed_module_publishes_nothing_again(embedded_world: "World") -> None:
    world = embedded_world
    world.deliver(rows(10))
    world.define(name="occurred")
    assert world.deliver().action == "nothing"
    # The comparison is with the rows that the module published under its former name.
    assert world.deliver([*rows(10), ("new", 1, 1)]).published == 1


def test_a_new_topic_starts_empty_and_the_old_one_is_not_forgotten(embedded_world: "World") -> None:
    world = embedded_world
    old = world.topic
    world.deliver(rows(10))
    world.define(topic=old.replace(".v1", ".v2"))
    assert (world.deliver().action, len(world.seen())) == ("backfill", 10)
    # A deployment that is rolled back publishes nothing twice.
    world.define(topic=old)
    assert (world.deliver().action, len(world.seen())) == ("nothing", 10)


# In these cases nothing is published.


def test_an_altered_snapshot_is_refused(embedded_world: "World") -> None:
    world = embedded_world
    world.rows(rows(20))
    done = world.prepare()
    _damage(world, done.snapshot.path)
    with pytest.raises(SnapshotError, match="the file was altered"):
        world.publish()
    assert world.platform().ledger.latest(ledger_key(world.topic, WINDOW)) is None
    assert world.seen() == []


def test_an_altered_base_or_sourced_snapshot_is_refused_too(embedded_world: "World") -> None:
    world = embedded_world
    first = world.deliver(rows(20))
    world.rows(rows(21))
    world.prepare()
    _damage(world, f"tests/happened/{WINDOW}/transformed-{first.snapshot}.parquet")
    with pytest.raises(BaseMissing, match=r"was altered.*restore"):
        world.publish()

    platform = world.platform()
    source = platform.snapshots.current("tests/happened", WINDOW, "sourced")
    assert source is not None
    from pipelines.stages.transform import transform_window

    _damage(world, source.path)
    with pytest.raises(SnapshotError, match="the file was altered"):
        transform_window(world.event, world.event.windows.window(WINDOW), platform, run_id="x")


def test_a_base_that_is_gone_is_said_so(embedded_world: "World") -> None:
    world = embedded_world
    first = world.deliver(rows(20))
    world.rows(rows(21))
    world.prepare()
    (
        world.folder / "home/snapshots/tests/happened" / WINDOW / f"transformed-{first.snapshot}.parquet"
    ).unlink()
    with pytest.raises(BaseMissing, match=r"is gone.*restore the snapshot folder"):
        world.publish()


def _damage(world: "World", path: str) -> None:
    file = world.folder / "home" / "snapshots" / path
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 1
    file.write_bytes(data)


def test_nothing_is_published_without_a_passed_validation(embedded_world: "World") -> None:
    world = embedded_world
    with pytest.raises(NotPublishable, match="has no transformed snapshot"):
        world.publish()
    world.rows(rows(5))
    done = world.prepare()
    store = world.platform().snapshots
    store.set_validation(
        "tests/happened", WINDOW, done.snapshot.sha256, {"passed": False, "reason": "2 dead"}
    )
    with pytest.raises(NotPublishable, match="did not pass its checks: 2 dead"):
        world.publish()
    (world.folder / f"home/snapshots/tests/happened/{WINDOW}/validated-{done.snapshot.sha256}.json").unlink()
    with pytest.raises(NotPublishable, match="did not pass its checks: no validation"):
        world.publish()


DEAD = "return rows.assign(amount=rows['amount'].where(rows['amount'] != 3, None))"


def test_the_verdict_of_the_last_run_counts_not_that_of_an_equal_snapshot(embedded_world: "World") -> None:
    """Rows 0..4 without row 3 pass; later row 3 comes as a dead letter, which leaves the same snapshot."""
    world = embedded_world
    world.define(DEAD)
    world.rows([row for row in rows(5) if row[2] != 3])
    passed = world.prepare()
    assert passed.passed

    world.rows(rows(5))
    blocked = world.prepare()
    assert blocked.snapshot.sha256 == passed.snapshot.sha256
    assert not blocked.passed
    with pytest.raises(NotPublishable, match="did not pass"):
        world.publish()
    assert world.platform().ledger.latest(ledger_key(world.topic, WINDOW)) is None


def test_a_run_killed_before_its_verdict_leaves_no_older_one_standing(
    embedded_world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world = embedded_world
    world.define(DEAD)
    world.rows([row for row in rows(5) if row[2] != 3])
    world.prepare()
    world.deliver(rows(2))

    # The same rows, with the dead one.
    # If the run is killed after storing but before its verdict, the pointer must not move.
    world.rows(rows(5))
    platform = world.platform()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(platform.snapshots, "set_validation", killed)
    with pytest.raises(KeyboardInterrupt):
        world.prepare(platform)
    assert world.publish().action == "nothing"
    assert world.counted() == Counter(rows(2))


def test_a_snapshot_of_another_contract_is_refused(embedded_world: "World") -> None:
    world = embedded_world
    world.rows(rows(5))
    world.prepare()
    world.define(WITH_NOTE, extra_fields=[NOTE])
    with pytest.raises(NotPublishable, match="another version of the contract"):
        world.publish()


# A server refuses.


def test_a_missing_topic_names_the_command_and_nothing_is_written(embedded_world: "World") -> None:
    world = embedded_world
    world.platform().ledger.latest("made before topics may no more be created")
    with pytest.raises(TopicMissing, match=f"--create --topic {world.topic}"):
        world.deliver(rows(5), settings={"create_topics": False})


def test_an_unregistered_contract_is_named_and_nothing_is_written(embedded_world: "World") -> None:
    world = embedded_world
    with pytest.raises(PreflightFailed, match="sluice register tests/happened"):
        world.deliver(rows(5), settings={"register_contracts": False})
    assert world.platform().registry.latest(f"{world.topic}-value") is None
    assert world.seen() == []


def test_an_incompatible_contract_is_refused_before_anything_is_written(embedded_world: "World") -> None:
    world = embedded_world
    world.deliver(rows(5))
    required = {**NOTE, "type": "string"}
    required.pop("default")
    world.define("return rows.assign(note='x')", extra_fields=[required])
    world.prepare()
    with pytest.raises(PreflightFailed, match=r"not compatible.*\.v2"):
        world.publish(on_definition_change="correct")
    assert len(world.seen()) == 5


def test_event_times_that_the_topic_would_delete_at_once_are_refused(world: "World") -> None:
    world.create_topic(retention_ms="604800000")
    world.define(more='record_timestamp="event_time",')
    with pytest.raises(PreflightFailed, match=r"after 168 h .*would be deleted at once"):
        world.deliver(rows(5))


def test_records_are_stamped_with_what_the_event_asks_for(world: "World") -> None:
    before = datetime.now(UTC).timestamp() * 1000 - 1000
    world.deliver(rows(3))
    assert all(record.timestamp_ms > before for record in world.seen())

    world.define(more='record_timestamp="event_time",', topic=world.topic.replace(".v1", ".v2"))
    world.create_topic(retention_ms="-1")
    world.deliver()
    midnight = datetime(2013, 1, 1, tzinfo=UTC).timestamp() * 1000
    stamps = [record.timestamp_ms - midnight for record in world.seen()]
    assert sorted(stamps) == [minute * 60_000 for minute in sorted(row[1] for row in rows(3))]


def test_a_record_larger_than_the_topic_takes_is_no_passing_fault(world: "World") -> None:
    world.create_topic(max_message_bytes="2000")
    # Text that cannot be compressed below the limit.
    world.define(
        "import hashlib\n"
        "    long = [''.join(hashlib.sha512(f'{i} {n}'.encode()).hexdigest() for n in range(80)) for i in rows['id']]\n"
        "    return rows.assign(id=long)"
    )
    with pytest.raises(RecordTooLarge) as caught:
        world.deliver(rows(5))
    assert not isinstance(caught.value, TransientError)
    assert caught.value.topic_limit == 2000
    assert caught.value.record_bytes > 10_000
    assert "max.message.bytes" in str(caught.value)
    assert world.seen() == []


def test_many_small_records_are_no_large_one(world: "World") -> None:
    """Together in one batch they would exceed the topic's limit."""
    world.create_topic(1, max_message_bytes="2000")
    assert world.deliver(rows(500), settings={"kafka": {"compression.type": "none"}}).published == 500
    assert sum(Counter(record.row for record in world.seen(partitions=1)).values()) == 500


def test_a_full_queue_only_slows_down(embedded_world: "World") -> None:
    result = embedded_world.deliver(
        rows(500), settings={"kafka": {"queue.buffering.max.messages": "7", "linger.ms": "0"}}
    )
    assert result.published == 500
    assert embedded_world.counted() == Counter(rows(500))


def test_every_error_of_these_is_one_for_people() -> None:
    for kind in (
        NotPublishable,
        PreflightFailed,
        DefinitionChanged,
        BaseMissing,
        TopicMissing,
        RecordTooLarge,
    ):
        assert issubclass(kind, SluiceError)
        assert not issubclass(kind, TransientError)


def test_nothing_is_committed_before_what_the_ledger_will_name_is_on_the_disk(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real = TransactionalProducer.commit

    def sync(handle: int) -> None:
        steps.append(str(Path(f"/proc/self/fd/{handle}").readlink()))

    def commit(self: TransactionalProducer) -> object:
        steps.append("commit")
        return real(self)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(TransactionalProducer, "commit", commit)
    result = world.deliver(rows(50), settings={"transaction_rows": 20})
    store = world.platform().snapshots
    snapshot = store.find("tests/happened", WINDOW, "transformed", result.snapshot)
    assert snapshot is not None
    address = Path(store.url(snapshot))
    before = steps[: steps.index("commit")]
    # A file may have two names.
    assert any(Path(path).name.endswith(f"{result.snapshot}.parquet") for path in before)
    assert before.index(str(address.parent)) > 0 and str(address.parent.parent) in before
    assert steps.count("commit") == 3 and steps[-1] == "commit"


def test_a_disk_that_fails_is_a_passing_fault_and_nothing_is_committed(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    world.rows(rows(50))
    platform = world.platform()
    platform.snapshots.store_id(make=True)
    world.prepare(platform)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        platform.snapshots.begin_fsync("tests/happened", WINDOW)
        with pytest.raises(TransientError, match="Input/output error"):
            world.publish(platform)
    with pytest.raises(TransientError, match="materialize the window again"):
        world.publish(platform)
    assert world.seen() == []
    assert platform.ledger.latest(ledger_key(world.topic, WINDOW)) is None
    world.prepare(platform)
    assert world.publish(platform).published == 50


def test_where_the_ledger_was_read_it_is_asked_once_behind_the_claim(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = [f"2013-01-0{day}" for day in range(1, 6)]
    world.rows([(f"k{n}", 1440 * n, n) for n in range(5)])
    steps: list[str] = []
    for owner, name in ((LedgerLog, "latest"), (TransactionalProducer, "claim")):
        real = getattr(owner, name)

        def noted(self: object, *a: object, _real: Any = real, _name: str = name, **k: object) -> object:
            steps.append(_name)
            return _real(self, *a, **k)

        monkeypatch.setattr(owner, name, noted)
    platform = world.platform()
    for window in windows:
        world.prepare(platform, window=window)
    read: set[int] = set()
    with Publisher(world.event, platform, run_id="run") as publisher:
        for window in windows[:4]:
            p = ledger_partition(ledger_key(world.topic, window), 2)
            del steps[:]
            assert publisher.publish(window).published == 1
            assert steps == (["claim", "latest"] if p in read else ["latest", "claim", "latest"])
            read.add(p)
        # Another run was faster, and the cached ledger entry is stale.
        world.publish(window=windows[4])
        known, value = platform.ledger.known(ledger_key(world.topic, windows[4]))
        assert known and value is None
        assert publisher.publish(windows[4]).action == "nothing"
        # A run that has nothing to do stops after it has read the ledger, and fences no producer.
        del steps[:]
        assert publisher.publish(windows[0]).action == "nothing"
        assert steps == ["latest"]
    assert len(world.seen()) == 5
