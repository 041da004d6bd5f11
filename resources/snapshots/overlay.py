"""A snapshot store in front of another one: it writes to a temporary folder and
leaves the other store unchanged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from resources.errors import SluiceError
from resources.snapshots.snapshot import Snapshot
from resources.snapshots.store import SnapshotStore


class StoreAside(SnapshotStore):
    """Writes go to `folder`. Reads come from `folder`, or else from `behind`, which is never written to.

    So a trial finds the existing snapshots, and nobody finds the trial.
    """

    def __init__(self, folder: str, behind: SnapshotStore) -> None:
        super().__init__(folder)
        self._behind = behind

    def holds_itself(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot's files are in the folder."""
        return self._size(snapshot.files[0]) is not None

    def store_id(self, *, make: bool = False) -> str | None:  # noqa: ARG002 - no id is made here
        return self._behind.store_id()

    def url(self, snapshot: Snapshot) -> str:
        return super().url(snapshot) if self.holds_itself(snapshot) else self._behind.url(snapshot)

    def _keep(self, staging: Path) -> None:
        """Does nothing: no ledger names a file of this folder."""

    def current(self, event: str, window: str, stage: str) -> Snapshot | None:
        return super().current(event, window, stage) or self._behind.current(event, window, stage)

    def all_current(
        self, event: str, stage: str, *, unread: Callable[[SluiceError], None]
    ) -> Iterator[Snapshot]:
        """The snapshots of the store behind: a trial is of one window only."""
        return self._behind.all_current(event, stage, unread=unread)

    def find(self, event: str, window: str, stage: str, sha256: str) -> Snapshot | None:
        return super().find(event, window, stage, sha256) or self._behind.find(event, window, stage, sha256)

    def validation(self, event: str, window: str, sha256: str) -> dict[str, Any] | None:
        return super().validation(event, window, sha256) or self._behind.validation(event, window, sha256)

    def reconciled(self, event: str, window: str) -> dict[str, Any] | None:
        return super().reconciled(event, window) or self._behind.reconciled(event, window)

    def note(self, event: str, name: str) -> dict[str, Any] | None:
        return super().note(event, name) or self._behind.note(event, name)

    def unfinished(self, event: str) -> list[dict[str, Any]]:
        return self._behind.unfinished(event)

    def unfinished_events(self) -> list[str]:
        return self._behind.unfinished_events()

    def verify(self, snapshot: Snapshot) -> None:
        if self.holds_itself(snapshot):
            super().verify(snapshot)
        else:
            self._behind.verify(snapshot)

    def read(
        self,
        snapshot: Snapshot,
        *,
        batch_rows: int,
        from_row: int = 0,
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        how: dict[str, Any] = {"batch_rows": batch_rows, "from_row": from_row, "columns": columns}
        return (
            super().read(snapshot, **how)
            if self.holds_itself(snapshot)
            else self._behind.read(snapshot, **how)
        )

    def schema(self, snapshot: Snapshot) -> pa.Schema:
        return super().schema(snapshot) if self.holds_itself(snapshot) else self._behind.schema(snapshot)

    def share(
        self, source: Snapshot, event: str, window: str, stage: str, facts: Mapping[str, Any]
    ) -> Snapshot:
        if self.holds_itself(source):
            return super().share(source, event, window, stage, facts)
        # Written again, because the two stores have no files in common.
        with self.writer(event, window, stage, self._behind.schema(source)) as out:
            for batch in self._behind.read(source, batch_rows=32_768):
                out.write(batch)
            return out.finish(facts, make_current=False)

    def begin_fsync(self, event: str, window: str) -> None:
        """Does nothing: no ledger will name a file of this folder."""

    def fsync_window(self, event: str, window: str) -> None:
        """Does nothing, for the same reason."""
