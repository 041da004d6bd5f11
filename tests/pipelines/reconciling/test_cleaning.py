"""On a broker that really compacts and deletes: during that and after it, no record is wrongly reported as
lost, and a real loss is still found."""

import time
from collections.abc import Callable

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from pipelines.ledger.entry import LedgerEntry
from pipelines.reconciling.result import Reconciliation
from tests.pipelines.publishing.conftest import World
from tests.pipelines.reconciling.conftest import SEGMENT_MS, Delivery
from tests.pipelines.reconciling.test_generations import reconciled, rows
from tests.pipelines.reconciling.test_policy import removed, superseded

_WAIT_SECONDS = 60

COMPACTED = {
    "cleanup_policy": "compact",
    "segment_ms": str(SEGMENT_MS),
    "min_cleanable_dirty_ratio": "0.001",
    "delete_retention_ms": "100",
    "file_delete_delay_ms": "0",
}


def until(
    look: Callable[[], Reconciliation], done: Callable[[Reconciliation], bool], again: Callable[[], None]
) -> Reconciliation:
    """The result of `look` after the broker has finished."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while not done(found := look()):
        assert time.monotonic() < deadline, f"the broker did not get on: {found.told}"
        again()
    return found


def compacted(here: Delivery, entry: LedgerEntry, count: int) -> Reconciliation:
    """The result when `count` records of the window are left."""
    return until(lambda: here.reconcile(entry), lambda found: found.found == count, here.roll)


def let_compact(here: Delivery) -> None:
    """Compact records of any age."""
    change = ConfigEntry("min.compaction.lag.ms", "0", incremental_operation=AlterConfigOpType.SET)
    topic = ConfigResource(ResourceType.TOPIC, here.topic, incremental_configs=[change])
    admin = AdminClient({"bootstrap.servers": here.bootstrap})
    admin.incremental_alter_configs([topic])[topic].result()


def test_real_compaction_is_no_loss_at_any_moment(small: Delivery) -> None:
    here = small.on_new_topic(**COMPACTED)  # type: ignore[arg-type]
    entry = here.send(here.records)

    def look() -> Reconciliation:
        found = here.reconcile(entry)
        assert found.ok, found.told
        assert found.found + found.compacted == 1_000
        return found

    found = until(look, lambda found: found.found == 300, here.roll)
    assert (found.verdict, removed(found)) == ("reduced", (0, 0, 700))


def test_a_loss_beside_real_compaction_is_found(small: Delivery) -> None:
    here = small.on_new_topic(**COMPACTED, min_compaction_lag_ms="3600000")  # type: ignore[arg-type]
    lost = {100, 950}  # k100 has newer records; k50 has none after its last one
    assert superseded(here) & lost == {100}
    entry = here.send([r for n, r in enumerate(here.records) if n not in lost])
    before = here.reconcile(entry)
    assert (before.verdict, removed(before)) == ("differs", (2, 0, 0))
    assert {e.key for e in before.examples} == {"k100", "k50"}
    let_compact(here)
    # The last record of k50 is now number 650.
    found = compacted(here, entry, 300)
    assert (found.verdict, removed(found)) == ("differs", (2, 0, 698))
    assert "k50" in {e.key for e in found.examples}
    assert "may be a neighbour" in found.told


def test_expired_tombstones_are_no_loss(world: World) -> None:
    world.define(more="tombstones=True,")
    world.create_topic(**COMPACTED)  # type: ignore[arg-type]
    world.deliver(rows(40))
    assert world.deliver(rows(40)[2:]).tombstones == 2
    here = Delivery(world, [], None, world.topic)  # type: ignore[arg-type]
    found = until(lambda: reconciled(world), lambda found: found.found == 0, here.roll)
    assert (found.verdict, found.generation, removed(found)) == ("reduced", 2, (0, 0, 2))


@pytest.mark.parametrize("lost", [None, 800], ids=["intact", "with a loss"])
def test_real_retention_is_counted_and_hides_no_loss(small: Delivery, lost: int | None) -> None:
    here = small.on_new_topic(retention_ms="1800000", segment_ms=str(SEGMENT_MS), file_delete_delay_ms="0")
    records = [r for n, r in enumerate(here.records) if n != lost]
    hour_ago_ms = time.time_ns() // 1_000_000 - 3_600_000
    old = here.send(records[:600], timestamp_ms=hour_ago_ms)
    new = here.send(records[600:])
    spans = {p: (old.offsets[p][0], new.offsets[p][1]) for p in old.offsets}
    entry = new.advanced(offsets=spans)

    def look() -> Reconciliation:
        found = here.reconcile(entry)
        assert found.missing == (lost is not None), found.told
        return found

    found = until(look, lambda found: found.deleted_by_policy >= 600, lambda: time.sleep(0.2))
    if lost is None:
        assert (found.verdict, removed(found)) == ("reduced", (0, 600, 0))
    else:
        assert (found.verdict, removed(found)) == ("differs", (1, 600, 0))
        assert [e.key for e in found.examples] == [f"k{lost % 300}"]
