"""Snapshots: immutable, content-addressed Parquet files, and what is known about each of them."""

from resources.snapshots.layout import read_as_written
from resources.snapshots.nullability import alike
from resources.snapshots.overlay import StoreAside
from resources.snapshots.snapshot import Snapshot, SnapshotError
from resources.snapshots.store import SnapshotStore
from resources.snapshots.writer import SnapshotWriter, row_groups

__all__ = [
    "Snapshot",
    "SnapshotError",
    "SnapshotStore",
    "SnapshotWriter",
    "StoreAside",
    "alike",
    "read_as_written",
    "row_groups",
]
