"""Snapshots: immutable, content-addressed Parquet files, and what is known about each."""

from resources.snapshots.snapshot import Snapshot, SnapshotError
from resources.snapshots.store import SnapshotStore
from resources.snapshots.writer import SnapshotWriter

__all__ = ["Snapshot", "SnapshotError", "SnapshotStore", "SnapshotWriter"]
