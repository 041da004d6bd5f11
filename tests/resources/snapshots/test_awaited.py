"""While a request to a remote store runs, it is reported as waiting; its answer is passed on unchanged."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from resources.snapshots import SnapshotStore, remote

EVENT, WINDOW = "flights/x", "2013-01-01"


@pytest.fixture
def awaited(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was waited for."""
    found: list[str] = []

    @contextmanager
    def waiting_for(what: str) -> Iterator[None]:
        found.append(what)
        yield

    monkeypatch.setattr(remote, "waiting_for", waiting_for)
    return found


def test_every_request_to_a_store_elsewhere_is_waited_for(tmp_path: Path, awaited: list[str]) -> None:
    store = SnapshotStore(f"memory://{tmp_path.name}")
    rows = pa.record_batch({"n": [1, 2, 3]})

    def asked(ask: Any) -> None:
        awaited.clear()
        with contextlib.suppress(StopIteration):
            ask()
        assert set(awaited) == {f"the snapshot store memory://{tmp_path.name}"}

    with store.writer(EVENT, WINDOW, "sourced", rows.schema) as out:
        out.write(rows)
        made: list[Any] = []
        asked(lambda: made.append(out.finish({})))
    snapshot = made[0]
    asked(lambda: store.current(EVENT, WINDOW, "sourced"))
    asked(lambda: store.find(EVENT, WINDOW, "sourced", snapshot.sha256))
    asked(lambda: store.verify(snapshot))
    asked(lambda: store.schema(snapshot))
    asked(lambda: store.set_validation(EVENT, WINDOW, snapshot.sha256, {}))
    asked(lambda: store.unfinished_events())
    asked(lambda: store.store_id(make=True))
    batches = store.read(snapshot, batch_rows=2)
    asked(lambda: made.append(next(batches)))
    # The bytes are read with the rows, not only when the file is opened.
    assert len(awaited) > 2
    assert [batch.num_rows for batch in [made[1], *batches]] == [2, 1]
