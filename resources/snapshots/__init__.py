"""Snapshots: immutable, content-addressed Parquet files, and what is known about each."""

from resources.snapshots.store import Snapshot, SnapshotError, SnapshotStore, SnapshotWriter

__all__ = ["Snapshot", "SnapshotError", "SnapshotStore", "SnapshotWriter"]
