"""Joins ledger and journal into one event's history."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pipelines.history.generations import Generations
from pipelines.history.happening import Happening, instant
from pipelines.journal.entry import JournalRecord
from pipelines.journal.journal import EventJournal
from pipelines.journal.kinds import Accepted
from pipelines.ledger.entry import LedgerEntry
from pipelines.ledger.listing import Damaged

_MOST_DAMAGED = 20


@dataclass(frozen=True)
class History:
    """What is known about the event of `topic`, oldest first. `names`: the names that it had. `left_out`: how
    many older lines are not in `happenings`. `damaged`: how many records of ledger and journal cannot be
    read; `errors`: the first of them, as text, those of the ledger first."""

    topic: str
    names: tuple[str, ...]
    happenings: tuple[Happening, ...]
    left_out: int = 0
    damaged_ledger: int = 0
    damaged_journal: int = 0
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Note:
    """A person's acceptance, as the ledger notes it in the entry of every window that it covers."""

    what: str
    at: str
    by: str
    reason: str
    was: str | None
    now: str | None


def _notes_of(entry: LedgerEntry) -> Iterable[_Note]:
    return (_Note(**{name: note[name] for name in _NOTE_FIELDS}) for note in entry.accepted)


_NOTE_FIELDS = ("what", "at", "by", "reason", "was", "now")


def _accepted_by_ledger(
    notes: Mapping[_Note, list[str]], records: Sequence[JournalRecord]
) -> Iterable[Happening]:
    """Acceptances that the journal does not have,
    because an earlier version of Sluice wrote them only to the ledger."""
    known = {(one.details.what, instant(one.at)) for one in records if isinstance(one.details, Accepted)}
    for note, windows in notes.items():
        if (note.what, instant(note.at)) not in known:
            was, now = (note.was or "-",), (note.now or "-",)
            details = Accepted(note.what, was, now, len(windows), min(windows), max(windows))
            yield _accepted(instant(note.at), "ledger", details, note.by, note.reason)


def history(topic: str, entries: Iterable[LedgerEntry | Damaged], journal: EventJournal) -> History:
    """Every happening of the event, condensed, in time order."""
    published, notes = Generations(topic), defaultdict[_Note, list[str]](list)
    names: dict[str, None] = {}
    damaged, errors = 0, list[str]()
    for entry in entries:
        if not isinstance(entry, LedgerEntry):
            damaged += 1
            if damaged <= _MOST_DAMAGED:
                errors.append(str(entry[1]))
            continue
        published.add(entry)
        for note in _notes_of(entry):
            notes[note].append(entry.window)
        names[entry.event] = None
    names |= dict.fromkeys(one.event for one in journal.records if one.event)
    found = [
        *map(_of_record, journal.records),
        *_accepted_by_ledger(notes, journal.records),
        *published.happenings(),
    ]
    return History(
        topic,
        tuple(names),
        tuple(sorted(found, key=lambda one: one.at)),
        journal.left_out,
        damaged,
        journal.damaged,
        (*errors, *map(str, journal.errors)),
    )


def part_of(whole: History, since: datetime | None, last: int | None) -> History:
    """The happenings since an instant, and of these only the `last` that ended last, in order of time."""
    found = [one for one in whole.happenings if since is None or one.last >= since]
    if last is not None:
        # A backfill that began long ago and published a window just now is among the newest.
        by_end = sorted(range(len(found)), key=lambda place: found[place].last)
        found = [found[place] for place in sorted(by_end[max(0, len(by_end) - last) :])]
    return replace(
        whole, happenings=tuple(found), left_out=whole.left_out + len(whole.happenings) - len(found)
    )


def _of_record(one: JournalRecord) -> Happening:
    at = instant(one.at)
    facts = {name: value for name, value in one.as_json().items() if name not in _OWN}
    if isinstance(one.details, Accepted):
        return replace(_accepted(at, "journal", one.details, one.by, one.reason), facts=facts)
    summary = one.summary if one.details is not None else f"{one.summary} (a kind of a later version)"
    return Happening(at, one.kind, "journal", summary, one.by, one.reason, facts=facts)


# These are fields of a happening itself.
_OWN = ("v", "kind", "at", "by", "reason")


def _accepted(
    at: datetime, source: Literal["ledger", "journal"], details: Accepted, by: str, reason: str | None
) -> Happening:
    return Happening(
        at,
        "accepted",
        source,
        str(details),
        by,
        reason,
        windows=details.windows,
        first_window=details.first_window,
        last_window=details.last_window,
    )
