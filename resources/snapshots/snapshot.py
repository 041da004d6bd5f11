"""What a snapshot is, and the error of one that is not as it should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.errors import SluiceError


class SnapshotError(SluiceError):
    """A snapshot that is missing, damaged, or cannot be written."""


@dataclass(frozen=True)
class Snapshot:
    """Rows that never change: a Parquet file, or many rows in several, one behind the other.

    `path` is relative to the store, of several files the pattern that they match; `sha256` and `bytes` are those of the
    files' bytes in their order; `facts` is what its writer said of it.
    """

    path: str
    sha256: str
    rows: int
    bytes: int
    facts: Mapping[str, Any]
    parts: int = 1

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of its files, in the order of their rows."""
        if self.parts == 1:
            return (self.path,)
        return tuple(self.path.replace("*", f"{part:04d}") for part in range(1, self.parts + 1))


def path_of(folder: str, stage: str, sha256: str, parts: int = 1) -> str:
    """A snapshot's path: `<stage>-<sha256>.parquet`, or of several files `<stage>-<sha256>-*-of-0017.parquet`."""
    of = "" if parts == 1 else f"-*-of-{parts:04d}"
    return f"{folder}/{stage}-{sha256}{of}.parquet"


def unwritable(where: str, error: OSError) -> SnapshotError:
    """What is said of a place that takes no more bytes."""
    return SnapshotError(
        where,
        f"cannot be written: {error.strerror or error}",
        next_step="free disk space, or point SLUICE_SNAPSHOTS elsewhere; nothing was published from it",
    )
