"""Why nothing was sent for some windows, in a sentence that is true for each of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipelines.run_events import Outcome
from resources.wording import counted


@dataclass(frozen=True)
class Silent:
    """A window for which nothing is sent; `stale` of its records are left out."""

    outcome: Outcome
    stale: int = 0


# The words for one window and for several; the table above names the windows.
_TOLD: dict[Outcome, tuple[str, str]] = {
    "no_rows": ("has no rows", "have no rows"),
    "no_events": ("has rows, but none became an event", "have rows, but none became an event"),
    "unchanged": ("was on its topic already", "were on their topics already"),
    "gone": (
        "lost events, and sends no tombstones for them",
        "lost events, and send no tombstones for them",
    ),
    "not_selected": ("has no event that is selected", "have no event that is selected"),
    "not_repaired": ("has no dead letter that fits now", "have no dead letter that fits now"),
}
_ALL_UNCHANGED = "every event was on its topic already"


def nothing_because(windows: Iterable[Silent]) -> str:
    """Why nothing is sent, if nothing is:
    `the window has no rows`, `3 windows have no rows; 2 were on their topics already`."""
    found = list(windows)
    if not found:
        return "there was no window"
    if {one.outcome for one in found} == {"unchanged"}:
        return _ALL_UNCHANGED
    return "; ".join(_parts(found, whole=True))


def besides(windows: Iterable[Silent]) -> str:
    """What to add if something was sent: `; 1 window has no rows`, or nothing."""
    return "".join(f"; {part}" for part in _parts(list(windows), whole=False))


def _parts(found: Sequence[Silent], *, whole: bool) -> Iterator[str]:
    first = True
    for outcome, (one, many) in _TOLD.items():
        count = sum(window.outcome == outcome for window in found)
        if not count:
            continue
        if count == 1:
            who = "the window" if whole and len(found) == 1 else "1 window" if first else "1"
        else:
            who = f"{counted(count, 'window')}" if first else f"{count:,}"
        first = False
        yield f"{who} {one if count == 1 else many}"
    stale = sum(window.stale for window in found)
    if stale:
        one = "record was left out as stale: its key has a newer value"
        many = "records were left out as stale: their keys have newer values"
        yield f"{stale:,} {one if stale == 1 else many} on the topic"
