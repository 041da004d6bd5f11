"""The dead letters of windows, as they are in the snapshot store."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipelines.authoring.event import Event
from pipelines.ledger.listing import read_ledger
from resources.errors import SluiceError
from resources.platform import Platform
from resources.snapshots import Snapshot, SnapshotError, SnapshotStore
from resources.wording import counted


@dataclass(frozen=True)
class WindowLetters:
    """The dead letters of the newest transformed rows of one window. `state`: `blocked` (none of these rows
    may be published) or `allowed` (the other rows may be published). `dead` of `rows_in` source rows are dead
    letters; `reasons` counts them by class."""

    event: str
    window: str
    state: str
    dead: int
    rows_in: int
    reasons: Mapping[str, int]
    run_id: str
    written_at: str
    file: str
    snapshot: Snapshot


Unread = Callable[[SluiceError], None]
"""Called with the error of each window whose files cannot be read, so that the other windows are listed."""


def _raised(error: SluiceError) -> None:
    raise error


def letters_of(
    event: Event, store: SnapshotStore, windows: Iterable[str] | None = None, *, unread: Unread = _raised
) -> list[WindowLetters]:
    """The windows of `event` that have dead letters, by window; only those of `windows` if it is given."""
    wanted = None if windows is None else set(windows)
    found = []
    for snapshot in store.all_current(event.full_name, "dead", unread=unread):
        facts = snapshot.facts
        # Dead letters of an early version that did not name their window have no counts either;
        # its next run writes them again.
        if (
            not snapshot.rows
            or "window" not in facts
            or (wanted is not None and facts["window"] not in wanted)
        ):
            continue
        try:
            found.append(_letters(event, snapshot, store.url(snapshot)))
        except KeyError as missing:
            unread(
                SnapshotError(
                    store.url(snapshot),
                    f"the file that points at it is damaged: it has no {missing}",
                    next_step=f"sluice publish {event.full_name} {facts['window']} writes it anew",
                )
            )
    return found


def _letters(event: Event, snapshot: Snapshot, file: str) -> WindowLetters:
    facts = snapshot.facts
    return WindowLetters(
        event.full_name,
        facts["window"],
        "allowed" if facts["passed"] else "blocked",
        facts["dead"],
        facts["rows_in"],
        facts["reasons"],
        facts["run_id"],
        facts["written_at"],
        file,
        snapshot,
    )


def without_letters(event: Event, store: SnapshotStore, windows: Sequence[str]) -> str:
    """Why windows may have no dead letters:
    `: the window has no rows`, `: 2 of 3 windows were not read yet`; or nothing."""
    facts: list[Mapping[str, Any] | None] = []
    for window in windows:
        with suppress(SnapshotError):  # `letters_of` has reported it
            found = store.current(event.full_name, window, "dead")
            facts.append(found.facts if found else None)
    told = []
    for count, one, many in (
        (
            sum(found is not None and found.get("rows_in") == 0 for found in facts),
            "has no rows",
            "have no rows",
        ),
        (facts.count(None), "was not read yet", "were not read yet"),
    ):
        if count and len(windows) == 1:
            told.append(f"the window {one}")
        elif count:
            told.append(f"{count:,} of {counted(len(windows), 'window')} {one if count == 1 else many}")
    return f": {', '.join(told)}" if told else ""


def rows_of(
    letters: WindowLetters, store: SnapshotStore, most: int | None = None
) -> Iterator[dict[str, Any]]:
    """The dead letters themselves, in the order of their source rows, at most `most`."""
    rows = (row for batch in store.read(letters.snapshot, batch_rows=1000) for row in batch.to_pylist())
    return islice(rows, most)


def reasons_of(windows: Iterable[WindowLetters]) -> Counter[str]:
    """The dead letters of all these windows, counted by reason."""
    found: Counter[str] = Counter()
    for one in windows:
        found.update(one.reasons)
    return found


def windows_to_redrive(event: Event, platform: Platform, *, unread: Unread = _raised) -> list[str]:
    """Keys of the windows with dead letters, in their newest rows or in the rows that are on the topic; and
    of the windows that a redrive unblocked but was killed before it published them. A window whose files
    cannot be read is left out: only a run that names it reads it."""
    from pipelines.publishing.dead_letters.retry import UNBLOCKED

    store = platform.snapshots
    found = {one.window for one in letters_of(event, store, unread=unread)}
    ledger = read_ledger(platform)
    published = {entry.window: entry for entry in ledger.entries if entry.topic == event.topic}
    # It is not known whether a damaged window has dead letters left; a run finds out.
    found |= set(ledger.damaged_windows_of(event.topic))
    for letters in store.all_current(event.full_name, "dead", unread=lambda _: None):  # reported above
        if UNBLOCKED in letters.facts:
            entry = published.get(letters.facts["window"])
            if entry is None or not entry.complete or entry.snapshot != letters.facts["transformed"]:
                found.add(letters.facts["window"])
    for entry in published.values():
        if entry.window in found:
            continue
        try:
            facts = store.validation(entry.event, entry.window, entry.snapshot)
        except SluiceError as error:
            unread(error)
            continue
        if facts and facts.get("dead"):
            found.add(entry.window)
    return sorted(found)
