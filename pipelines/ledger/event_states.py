"""The states of events, from the ledger and from the notes of runs beside the snapshots;
used by all commands."""

from collections.abc import Callable, Iterable
from datetime import datetime

from pipelines.authoring.event import Event
from pipelines.authoring.windows import WindowError
from pipelines.ledger.entry import LedgerDamaged, LedgerEntry
from pipelines.ledger.listing import read_ledger
from pipelines.ledger.unfinished_windows import unfinished
from pipelines.selection.expressions import State
from resources.platform import Platform


def event_states(
    events: Iterable[Event], platform: Platform, now: datetime, *, damaged: Callable[[LedgerDamaged], None]
) -> dict[str, frozenset[State]]:
    """The states of each event by its full name, at `now`.

    `published`: at least one window is completely on the topic; `unpublished`: none is. `interrupted`: a
    window is on the topic in part. `late`: a window is due (its end and delay have passed) and not completely
    on the topic. `blocked`, `failed`: the newest run of a window ended so. `damaged` is called with the error
    of each ledger record that cannot be read; its window counts as not published.
    """
    ledger = read_ledger(platform)
    for _, error in ledger.damaged:
        damaged(error)
    by_topic: dict[str, list[LedgerEntry]] = {}
    for entry in ledger.entries:
        by_topic.setdefault(entry.topic, []).append(entry)
    wanted = list(events)
    ended: dict[str, set[State]] = {}
    for one in unfinished(platform.snapshots, [event.full_name for event in wanted]):
        ended.setdefault(one.event, set()).add(one.state)
    return {
        event.full_name: frozenset(
            _of_ledger(event, by_topic.get(event.topic, ()), now) | ended.get(event.full_name, set())
        )
        for event in wanted
    }


def window_state(entry: LedgerEntry) -> State:
    """Whether the window of a ledger entry is on the topic completely, or in part."""
    return "published" if entry.complete else "interrupted"


def _of_ledger(event: Event, entries: Iterable[LedgerEntry], now: datetime) -> set[State]:
    found: set[State] = set()
    whole_and_due = 0
    for entry in entries:
        state = window_state(entry)
        found.add(state)
        whole_and_due += state == "published" and _is_due(event, entry.window, now)
    if "published" not in found:
        found.add("unpublished")
    if whole_and_due < event.windows.count(now):
        found.add("late")
    return found


def _is_due(event: Event, key: str, now: datetime) -> bool:
    try:
        return event.windows.is_complete(event.windows.window(key), now)
    except WindowError:  # published before the present windows were declared
        return False
