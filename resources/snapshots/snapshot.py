"""What a snapshot is, and the error for a snapshot that is not as it should be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from resources.errors import SluiceError


class SnapshotError(SluiceError):
    """A snapshot that is missing, damaged, or cannot be written."""


@dataclass(frozen=True)
class Snapshot:
    """Rows that never change, in one Parquet file, or, if they are many, in
    several files, one after the other.

    `path` is relative to the store; for several files it is a pattern that they match. `sha256` and `bytes`
    are those of the files' bytes in their order. `facts` are what its writer said about it.
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
    """A snapshot's path: `<stage>-<sha256>.parquet`, or for several files
    `<stage>-<sha256>-*-of-0017.parquet`."""
    of = "" if parts == 1 else f"-*-of-{parts:04d}"
    return f"{folder}/{stage}-{sha256}{of}.parquet"


def as_noted(where: str, facts: Mapping[str, Any], stage: str) -> Snapshot:
    """The snapshot of `stage` that a pointer names. Raises SnapshotError if the
    pointer contradicts itself."""
    again = "materialize the window again"
    try:
        found = Snapshot(**facts)
    except TypeError as error:
        raise SnapshotError(where, f"was not written by this version: {error}", next_step=again) from None
    numbers = (found.rows, found.bytes, found.parts)
    typed = all(type(number) is int and number >= 0 for number in numbers) and isinstance(found.facts, dict)
    if not typed or not found.parts or not _names(found, stage):
        raise SnapshotError(where, "is damaged: its parts contradict each other", next_step=again)
    return found


def _names(found: Snapshot, stage: str) -> bool:
    # Any folder is accepted: the module may have been renamed since.
    folder = str(found.path).rpartition("/")[0]
    return found.path == path_of(folder, stage, found.sha256, found.parts)
