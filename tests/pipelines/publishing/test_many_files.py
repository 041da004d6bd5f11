"""A window whose snapshots have several files is published,
resumed, corrected, replayed and read back like any other."""

from collections import Counter
from pathlib import Path

import pytest

from pipelines.publishing.request import Replay
from pipelines.reconciling.reconciler import reconcile_window
from resources.errors import SluiceError
from tests.pipelines.publishing.conftest import WINDOW, Row, World
from tests.pipelines.publishing.test_crashes import Interrupted, in_order, interrupt


@pytest.fixture(autouse=True)
def ten_rows_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.snapshots.writer.ROW_GROUP_ROWS", 10)
    monkeypatch.setattr("resources.snapshots.writer.FILE_CHUNKS", 1)


def rows(count: int) -> list[Row]:
    return [(f"k{n * 5 % 7}", (n * 37) % 1440, n) for n in range(count)]


def files(world: World, stage: str) -> list[Path]:
    return sorted((world.folder / "home/snapshots/tests/happened" / WINDOW).glob(f"{stage}-*.parquet"))


# A transform that changes the rows writes its own files;
# otherwise they are the sourced files under another name.
@pytest.mark.parametrize("body", ["return rows", "rows['amount'] = rows['amount'] + 0; return rows"])
@pytest.mark.parametrize("commits", [1, 2, 3])
def test_a_run_that_breaks_off_in_any_file_is_taken_up(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch, body: str, commits: int
) -> None:
    world = embedded_world
    world.define(body)
    world.rows(rows(95))
    platform = world.platform(transaction_rows=23)
    world.prepare(platform)
    assert len(files(world, "transformed")) == 10
    with monkeypatch.context() as broken, pytest.raises(Interrupted):
        interrupt(broken, commits=commits)
        world.publish(platform)
    assert sum(world.counted().values()) == 23 * commits

    taken_up = world.publish(platform)
    assert (taken_up.action, taken_up.published) == ("resume", 95 - 23 * commits)
    assert world.by_key() == in_order(rows(95))
    assert reconcile_window(world.event, WINDOW, world.platform()).ok


def test_it_is_corrected_replayed_and_read_back(embedded_world: World) -> None:
    world = embedded_world
    world.deliver(rows(95))
    changed = [(i, m, a + (1000 if a in (3, 44, 94) else 0)) for i, m, a in rows(97)]
    corrected = world.deliver(changed)
    assert (corrected.action, corrected.published) == ("correct", 5)
    assert reconcile_window(world.event, WINDOW, world.platform()).ok
    assert world.counted() == Counter(rows(95)) + Counter([*(r for r in changed if r[2] > 94)])

    replayed = world.publish(
        reason="a consumer lost its state", requested_by="anna", replay=Replay("request")
    )
    assert replayed.published == 97
    assert reconcile_window(world.event, WINDOW, world.platform()).ok


def test_a_file_that_is_altered_or_gone_is_refused(embedded_world: World) -> None:
    world = embedded_world
    world.rows(rows(95))
    world.prepare()
    files(world, "transformed")[6].unlink()
    with pytest.raises(SluiceError, match="is gone"):
        world.publish()
    assert world.seen() == []
    world.prepare()
    data = bytearray(files(world, "transformed")[6].read_bytes())
    data[len(data) // 3] ^= 1
    files(world, "transformed")[6].write_bytes(data)
    with pytest.raises(SluiceError, match="was altered"):
        world.publish()
    assert world.seen() == []


@pytest.mark.parametrize("before", [1, 10_000])
def test_a_window_whose_rows_were_cut_otherwise_is_the_same_window(
    embedded_world: World, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """As after an upgrade: the snapshot has another hash, but all rows have the same content."""
    world = embedded_world
    with monkeypatch.context() as cut:
        cut.setattr("resources.snapshots.writer.FILE_CHUNKS", before)
        first = world.deliver(rows(95))
    monkeypatch.setattr("resources.snapshots.writer.FILE_CHUNKS", 10_001 - before)
    again = world.deliver()
    assert again.published == 0 and len(files(world, "transformed")) == 11
    assert reconcile_window(world.event, WINDOW, world.platform()).ok
    assert world.counted() == Counter(rows(95))
    assert world.deliver(rows(96)).published == 1
    assert first.published == 95 and world.counted() == Counter(rows(96))


def test_a_run_that_broke_off_is_taken_up_though_its_rows_are_cut_otherwise_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a real Kafka, because of a fault of the embedded broker: for a reader that begins after an aborted
    transaction, it reports the records there as aborted too."""
    world.rows(rows(95))
    platform = world.platform(transaction_rows=23)
    world.prepare(platform)
    with monkeypatch.context() as broken, pytest.raises(Interrupted):
        interrupt(broken, commits=2)
        world.publish(platform)
    monkeypatch.setattr("resources.snapshots.writer.FILE_CHUNKS", 10_000)
    world.prepare(platform)
    world.publish(platform)
    assert world.by_key() == in_order(rows(95))
    assert reconcile_window(world.event, WINDOW, world.platform()).ok
