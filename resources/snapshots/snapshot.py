"""What a snapshot is, and the error of one that is not as it should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.errors import SluiceError


class SnapshotError(SluiceError):
    """A snapshot that is missing, damaged, or cannot be written."""


@dataclass(frozen=True)
class Snapshot:
    """One immutable Parquet file. `path` is relative to the store; `facts` is what its writer said of it."""

    path: str
    sha256: str
    rows: int
    bytes: int
    facts: Mapping[str, Any]


def unwritable(where: str, error: OSError) -> SnapshotError:
    """What is said of a place that takes no more bytes."""
    return SnapshotError(
        where,
        f"cannot be written: {error.strerror or error}",
        next_step="free disk space, or point SLUICE_SNAPSHOTS elsewhere; nothing was published from it",
    )
