"""Which other windows' stored rows hold keys that a tombstone is about to delete: their rows may still be in the warehouse."""

import time
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.authoring.event import Event
from pipelines.encoding.keys import key_bytes
from pipelines.publishing.stored_rows import key_field
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot
from resources.wording import counted

# For a whole run: the answer is a warning, and publishing must not wait long for it.
_SECONDS = 10.0
_NAMED = 3


class Elsewhere:
    """Looks into the stored rows of an event's other windows; one per run, since its time is bounded for a run."""

    def __init__(self, event: Event, platform: Platform) -> None:
        self._event, self._platform = event, platform
        self._seconds_left = _SECONDS
        self._unread: list[SluiceError] = []

    def warning(self, window: str, keys: pa.BinaryArray) -> str | None:
        """What to say before the tombstones of `keys` in `window` go out; None where no other window holds one.

        It only advises: a window whose stored rows cannot be read is named, and keeps nothing from being published.
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
        except SluiceError as error:  # another window's
            self._unread.append(error)
            return 0

    def _window_of(self, folder: str) -> str:
        """The key of the window in a folder, whose name has no colons."""
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
            f"them again: sluice replay {self._event.full_name} {found[0]} --fresh --reason ..."
        )
