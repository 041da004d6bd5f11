"""The dead letters of windows, as the snapshot store holds them."""

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
    """The dead letters of the newest transformed rows of one window. `state`: `blocked`, nothing of these rows may be
    published; or `allowed`, the others may. `dead` of `rows_in` source rows, `reasons` by class."""

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
"""Gets the error of each window whose files cannot be read, so that the others are listed."""


def _raised(error: SluiceError) -> None:
    raise error


def letters_of(
    event: Event, store: SnapshotStore, windows: Iterable[str] | None = None, *, unread: Unread = _raised
) -> list[WindowLetters]:
    """The windows of `event` that have dead letters, by window; of `windows` alone where they are given."""
    wanted = None if windows is None else set(windows)
    found = []
    for snapshot in store.all_current(event.full_name, "dead", unread=unread):
        facts = snapshot.facts
        # One from before letters named their window has no counts either; its next run writes it anew.
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
    """What else there is to say of windows that have no dead letters: `: the window has no rows`, `: 2 of 3 windows were
    not read yet`; or nothing."""
    facts: list[Mapping[str, Any] | None] = []
    for window in windows:
        with suppress(SnapshotError):  # which `letters_of` has named
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
    """The letters themselves, in the order of their source rows, at most `most`."""
    rows = (row for batch in store.read(letters.snapshot, batch_rows=1000) for row in batch.to_pylist())
    return islice(rows, most)


def reasons_of(windows: Iterable[WindowLetters]) -> Counter[str]:
    """Dead letters by reason over windows."""
    found: Counter[str] = Counter()
    for one in windows:
        found.update(one.reasons)
    return found


def windows_to_redrive(event: Event, platform: Platform, *, unread: Unread = _raised) -> list[str]:
    """Keys of the windows with dead letters: of their newest rows, or of those that are on the topic; and of those that a
    redrive unblocked and, killed, has not published. A window whose files cannot be read is left to the run that is asked
    for it by name."""
    from pipelines.publishing.dead_letters.retry import UNBLOCKED

    store = platform.snapshots
    found = {one.window for one in letters_of(event, store, unread=unread)}
    ledger = read_ledger(platform)
    published = {entry.window: entry for entry in ledger.entries if entry.topic == event.topic}
    # Whether something is left of these is not known; a run says so.
    found |= set(ledger.damaged_windows_of(event.topic))
    for letters in store.all_current(event.full_name, "dead", unread=lambda _: None):  # said above
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
