"""Checks that there is room for the snapshots of these windows,
and for temporary files of sorting and comparing."""

from collections.abc import Iterator

from pipelines.preflight.amounts import size
from pipelines.preflight.facts import Facts
from pipelines.preflight.finding import Finding
from resources.settings import variable
from resources.wording import counted

# If there is nothing to estimate from, less free space than this deserves a look.
FLOOR_BYTES = 1_000_000_000
# Sorting writes uncompressed rows to disk, snapshots hold them compressed;
# reading back keeps 60 bytes for each record and side.
_SPILL_FACTOR = 3
_READBACK_BYTES = 160

_NAMED = 3


def disk_findings(facts: Facts) -> Iterator[Finding]:
    """The finding for the snapshot folder, then the one for the temporary folder."""
    disk, history = facts.disk, facts.history
    one_window = history.largest_snapshot_bytes
    # Windows that are stored already are replaced one file at a time.
    more_windows = len(facts.windows) - history.stored
    anew = history.largest_apart_bytes if history.at_most else one_window
    snapshots = (history.snapshot_bytes or 0) * more_windows + anew
    spill = history.largest_apart_bytes * _SPILL_FACTOR + history.largest_rows * _READBACK_BYTES
    if disk.snapshots_free is None:
        yield Finding("snapshot room", "unknown", f"how much room {disk.snapshots} has cannot be asked")
    else:
        about = "up to" if history.at_most else "about"
        new = counted(more_windows, "new window") if more_windows else "storing a window anew"
        wanted = f"{new} take{'s' * (more_windows < 2)} {about} {size(snapshots)}"
        yield _room(
            "snapshot room",
            disk.snapshots,
            disk.snapshots_free,
            least=one_window + (spill if disk.shared else 0),
            wanted=snapshots + (spill if disk.shared else 0),
            told=wanted if history.snapshot_bytes else None,
        )
    if disk.temporary_free is not None and not (disk.shared and disk.snapshots_free is not None):
        yield _room(
            "temporary room",
            disk.temporary,
            disk.temporary_free,
            least=spill,
            wanted=spill,
            told=f"sorting and reading back a window takes about {size(spill)}" if spill else None,
        )


def unread_findings(facts: Facts) -> Iterator[Finding]:
    """Stored files that could not be read. Files of other windows only help to estimate. If a window needs
    the file itself, the window is refused in its turn."""
    unread = {error.where: error for error in facts.history.unread}
    for error in list(unread.values())[:_NAMED]:
        yield Finding(
            "stored snapshots",
            "warning",
            f"{error.where}: {error.problem}. What it says is unknown to these checks, and keeps no other window from "
            "being published",
            error.next_step,
        )
    if len(unread) > _NAMED:
        more = counted(len(unread) - _NAMED, "more file")
        yield Finding("stored snapshots", "warning", f"{more} could not be read")


def _room(subject: str, place: str, free: int, *, least: float, wanted: float, told: str | None) -> Finding:
    """`least`: what one window needs; `wanted`: what all windows need."""
    text = f"{size(free)} free at {place}; {told or 'no window is stored yet to estimate from'}"
    if free < least:
        return Finding(subject, "failed", f"{text}: not even the largest window fits", _free())
    if free < wanted:
        return Finding(
            subject,
            "warning",
            f"{text}: not all of them fit",
            f"{_free()}, or publish fewer windows at a time",
        )
    if free < FLOOR_BYTES:
        return Finding(subject, "warning", f"{text}; less than {size(FLOOR_BYTES)} is little", _free())
    return Finding(subject, "ok", text)


def _free() -> str:
    return f"free some space, or point {variable('snapshots')} (or TMPDIR) elsewhere"
