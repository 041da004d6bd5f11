"""Finds stored rows of other windows with keys that a tombstone is about to delete:
the warehouse may still hold them."""

import time
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.authoring.event import Event
from pipelines.encoding.keys import key_bytes
from pipelines.publishing.stored_rows import key_field
from resources.errors import SluiceError
from resources.follow_ups import follow_up
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.wording import counted

# For a whole run: the result is only a warning, and publishing must not wait long for it.
_SECONDS = 10.0
_NAMED = 3


class Elsewhere:
    """Searches the stored rows of an event's other windows.
    One per run, since its time is bounded for a run."""

    def __init__(self, event: Event, platform: Platform) -> None:
        self._event, self._platform = event, platform
        self._seconds_left = _SECONDS
        self._unread: list[SluiceError] = []

    def warning(self, window: str, keys: pa.BinaryArray) -> str | None:
        """The warning to give before the tombstones of `keys` in `window` are sent; None if no other window
        holds one of the keys.

        It is only advice: a window whose stored rows cannot be read is named, and does not stop the
        publication.
        """
        if self._seconds_left <= 0:
            return None
        store, own = self._platform.snapshots, self._platform.snapshots.folder(self._event.full_name, window)
        deadline = time.monotonic() + self._seconds_left
        found: list[str] = []
        held, self._unread = 0, []
        for snapshot in store.all_current(self._event.full_name, "transformed", unread=self._unread.append):
            if time.monotonic() > deadline:
                self._seconds_left = 0
                break
            folder = snapshot.path.rpartition("/")[0]
            number = 0 if folder == own or not snapshot.rows else self._held(snapshot, keys)
            if number:
                found.append(self._window_of(folder))
                held += number
        else:
            self._seconds_left = deadline - time.monotonic()
        told = [self._told(held, found)] if found else []
        if self._unread:
            first, *others = self._unread
            more = f", and of {counted(len(others), 'other window')}" if others else ""
            told.append(f"whether its tombstones delete keys of other windows is unknown: {first}{more}")
        return "; ".join(told) or None

    def _held(self, snapshot: Snapshot, keys: pa.BinaryArray) -> int:
        store = self._platform.snapshots
        try:
            key = key_field(store.schema(snapshot), self._event.key)
            batches = store.read(snapshot, batch_rows=self._platform.settings.batch_rows, columns=[key])
            return sum(
                pc.sum(pc.is_in(key_bytes(batch.column(0)), value_set=keys)).as_py() or 0 for batch in batches
            )
        except SluiceError as error:  # that of the other window
            self._unread.append(error)
            return 0

    def _window_of(self, folder: str) -> str:
        """The window key of a folder; the folder's name has no colons."""
        name = folder.rpartition("/")[2]
        return f"{name[:-2]}:{name[-2:]}" if self._event.windows.cadence == "hourly" else name

    def _told(self, held: int, found: Sequence[str]) -> str:
        where = ", ".join(found[:_NAMED]) + (
            f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else ""
        )
        one = held == 1
        return (
            f"{held:,} stored row{'s' * (not one)} of {where} {'has a key' if one else 'have keys'} that "
            f"the tombstones of this window delete. Where the warehouse still has {'that row' if one else 'those rows'}, send "
            "them again: "
            + follow_up(f"sluice replay {self._event.full_name} {found[0]} --fresh --reason ...")
        )
