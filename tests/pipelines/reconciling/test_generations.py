"""Windows as the publisher leaves them: backfills, corrections with tombstones, interruptions, older
versions."""

import shutil
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest
from confluent_kafka import Producer

from pipelines.ledger.entry import LedgerEntry, ledger_key, read_entry
from pipelines.reconciling.expected import CannotReconcile
from pipelines.reconciling.reconciler import reconcile_window
from pipelines.reconciling.result import Reconciliation
from resources.kafka.transactions import TransactionalProducer
from resources.snapshots import SnapshotError
from tests.pipelines.publishing.conftest import WINDOW, Row, World
from tests.pipelines.reconciling.conftest import Delivery


def rows(count: int, *, amount: int = 1) -> list[Row]:
    return [(f"k{n}", (n * 37) % 1440, amount * n) for n in range(count)]


def entry_of(world: World) -> LedgerEntry:
    key = ledger_key(world.topic, WINDOW)
    entry = read_entry(key, world.platform().ledger.latest(key))
    assert entry is not None
    return entry


def reconciled(world: World, entry: LedgerEntry | None = None) -> Reconciliation:
    return reconcile_window(world.event, WINDOW, world.platform(), entry=entry)


def test_a_published_window_agrees_over_all_its_transactions(world: World) -> None:
    assert reconciled(world).verdict == "unpublished"
    assert world.deliver(rows(200), settings={"transaction_rows": 30}).transactions == 7
    found = reconciled(world)
    assert (found.verdict, found.expected, found.found, found.others) == ("agrees", 200, 200, 0)
    assert (found.generation, found.complete) == (1, True)
    assert found.checksum_expected == found.checksum_found


def test_an_empty_window_agrees(world: World) -> None:
    world.deliver([])
    found = reconciled(world)
    assert (found.verdict, found.expected, found.bytes_read) == ("agrees", 0, 0)


def test_an_id_within_the_record_is_part_of_what_is_compared(world: World) -> None:
    world.define(
        more='event_id="event_id",',
        extra_fields=[{"name": "event_id", "type": "string", "doc": "The event's id."}],
    )
    world.deliver(rows(20))
    assert reconciled(world).verdict == "agrees"


def test_a_correction_is_its_difference_and_its_tombstones(world: World) -> None:
    world.define(more="tombstones=True,")
    world.create_topic()  # not compacted: later records would count as a newer state
    world.deliver(rows(40))
    changed = [*rows(40)[2:38], ("k38", 3, 7_000), ("new", 5, 7)]
    assert world.deliver(changed).tombstones == 3
    entry = entry_of(world)
    found = reconciled(world)
    assert (found.verdict, found.generation, found.expected, found.others) == ("agrees", 2, 5, 0), found

    # Without the offset of one tombstone: as if it had not been written.
    (tombstone,) = (record for record in world.seen() if record.value is None and record.key == "k1")
    p = str(tombstone.kafka_partition)
    first, last = entry.offsets[p]
    assert first <= tombstone.offset <= last
    narrower = {**entry.offsets, p: (first, tombstone.offset - 1)}
    without = reconciled(world, entry.advanced(offsets=narrower))
    assert without.verdict == "differs"
    assert "k1" in {example.key for example in without.examples}


def test_an_interrupted_window_is_compared_as_far_as_it_came(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = TransactionalProducer.commit
    commits = iter(range(10))

    def third_fails(self: TransactionalProducer) -> object:
        if next(commits) == 2:
            raise KeyboardInterrupt
        return commit(self)

    monkeypatch.setattr(TransactionalProducer, "commit", third_fails)
    with pytest.raises(KeyboardInterrupt):
        world.deliver(rows(100), settings={"transaction_rows": 30})
    monkeypatch.undo()
    found = reconciled(world)
    assert (found.verdict, found.complete, found.expected) == ("agrees", False, 60)
    # And resumed, with an aborted transaction between its offsets.
    assert world.publish().action == "resume"
    found = reconciled(world)
    assert (found.verdict, found.complete, found.expected) == ("agrees", True, 100)


def test_a_window_published_under_an_older_contract_is_still_verified(world: World) -> None:
    world.deliver(rows(30))
    world.define(
        body="return rows.assign(note='')",
        extra_fields=[{"name": "note", "type": ["null", "string"], "default": None, "doc": "Remark."}],
    )
    assert entry_of(world).contract != world.event.contract.fingerprint
    assert reconciled(world).verdict == "agrees"


def test_two_registrations_of_one_contract_are_one(small: Delivery) -> None:
    here = small.on_new_topic()
    registry = small.world.platform().registry
    text = small.world.event.contract.text.replace("how much, pieces", "how many")
    other = registry.register(f"{here.topic}-value", text)
    assert other != small.entry.schema_id
    head = b"\x00" + other.to_bytes(4, "big")
    mixed = [(k, v if n % 3 else head + (v or b"")[5:]) for n, (k, v) in enumerate(small.records)]
    found = here.reconcile(here.send(mixed))
    assert (found.verdict, found.expected) == ("agrees", 1_000)


def test_without_the_snapshot_nothing_is_claimed(world: World, tmp_path: Path) -> None:
    world.deliver(rows(10))
    store = world.platform().snapshots
    snapshot = store.find("tests/happened", WINDOW, "transformed", entry_of(world).snapshot)
    assert snapshot is not None
    path = Path(store.url(snapshot))
    kept = tmp_path / "kept"
    shutil.copy(path, kept)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(damaged)
    with pytest.raises(SnapshotError, match=r"altered|damaged"):
        reconciled(world)
    path.unlink()
    with pytest.raises(CannotReconcile, match=r"is gone from .* not known"):
        reconciled(world)
    shutil.copy(kept, path)
    assert reconciled(world).verdict == "agrees"


def test_with_another_key_field_since_it_is_verified_by_the_one_of_then(world: World) -> None:
    world.deliver(rows(10))
    other = replace(world.event, key="amount", code_version="another")
    assert reconcile_window(other, WINDOW, world.platform()).verdict == "agrees"


def test_another_producers_open_transaction_is_waited_for(world: World) -> None:
    world.deliver(rows(10))
    other = Producer({"bootstrap.servers": world.bootstrap, "transactional.id": f"{world.name}-other"})
    other.init_transactions(30)
    other.begin_transaction()
    for n in range(30):
        other.produce(world.topic, b"open", b"%d" % n)
    other.flush(60)
    assert world.deliver(rows(20)).published == 10
    closing = Timer(1.5, lambda: other.abort_transaction(10))
    closing.start()
    try:
        found = reconciled(world)
    finally:
        closing.join()
    assert (found.verdict, found.expected) == ("agrees", 10)
    assert found.seconds > 1
