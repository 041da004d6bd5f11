"""Row groups are stored in a thread: its errors reach the writer, and nothing of it is left."""

import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from resources.snapshots import SnapshotError, SnapshotStore
from resources.snapshots.files import HashingFile
from resources.snapshots.writer import ROW_GROUP_ROWS
from resources.threads.write_behind import Behind

EVENT, WINDOW = "flights/departed", "2013-01-01"
GROUP = pa.record_batch({"x": pa.array(range(ROW_GROUP_ROWS), pa.int64())})


def threads() -> list[str]:
    ours = ("sluice-test", "sluice-snapshot")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(ours)]


def test_items_are_done_in_order_and_all_of_them() -> None:
    done: list[int] = []
    behind = Behind(done.append, name="sluice-test")
    for item in range(100):
        behind.put(item)
    behind.finish()
    assert done == list(range(100))
    assert threads() == []


def test_one_item_is_under_way_at_a_time() -> None:
    gate, begun = threading.Event(), threading.Event()

    def work(_: int) -> None:
        begun.set()
        gate.wait()

    behind, second = Behind(work, name="sluice-test"), threading.Event()

    def put_two() -> None:
        behind.put(1)
        behind.put(2)
        second.set()

    putting = threading.Thread(target=put_two)
    putting.start()
    assert begun.wait(60)
    assert not second.wait(0.1)
    gate.set()
    assert second.wait(60)
    putting.join()
    behind.finish()


def test_what_the_work_raises_is_raised_and_what_is_behind_it_dropped() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 2:
            raise ValueError("two")
        done.append(item)

    behind = Behind(work, name="sluice-test")
    with pytest.raises(ValueError, match="two"):
        for item in range(1, 10):
            behind.put(item)
    with pytest.raises(ValueError, match="two"):
        behind.put(11)
    with pytest.raises(ValueError, match="two"):
        behind.finish()
    assert done == [1] and threads() == []


def test_leaving_waits_for_what_is_begun_alone() -> None:
    done: list[int] = []
    begun = threading.Event()

    def work(item: int) -> None:
        begun.set()
        time.sleep(0.05)
        done.append(item)

    behind = Behind(work, name="sluice-test")
    behind.put(1)
    assert begun.wait(60)
    behind.leave()
    assert done == [1] and threads() == []


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_a_disk_that_is_full_while_a_group_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: int
) -> None:
    store = SnapshotStore(str(tmp_path))
    real, calls = HashingFile.write, []

    def full(self: HashingFile, data: bytes | memoryview) -> int:
        calls.append(threading.current_thread().name)
        if len(calls) > 2:
            raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(HashingFile, "write", full)
    with (
        pytest.raises(SnapshotError, match="No space left on device"),
        store.writer(EVENT, WINDOW, "sourced", GROUP.schema) as out,
    ):
        for _ in range(groups):
            out.write(GROUP)
        out.finish({})
    assert "sluice-snapshot" in calls
    assert threads() == [] and not list((tmp_path / ".staging").iterdir())
    assert store.current(EVENT, WINDOW, "sourced") is None


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_a_write_that_is_interrupted_leaves_no_thread_and_no_file(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    store = SnapshotStore(str(tmp_path))
    with (
        pytest.raises(interruption),
        store.writer(EVENT, WINDOW, "sourced", GROUP.schema) as out,
    ):
        out.write(GROUP)
        out.write(GROUP)
        raise interruption()
    assert threads() == [] and not list((tmp_path / ".staging").iterdir())


def test_a_small_snapshot_needs_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _: pytest.fail("a thread was started"))
    with SnapshotStore(str(tmp_path)).writer(EVENT, WINDOW, "sourced", GROUP.schema) as out:
        out.write(GROUP.slice(0, 900))
        assert out.finish({}).rows == 900
