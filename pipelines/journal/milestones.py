"""Milestones that a publication writes beside its work: it never waits for the journal, and never fails
because of it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipelines.authoring.event import Event
from pipelines.journal.entry import JournalRecord, journal_record
from pipelines.journal.journal import Journal
from pipelines.journal.kinds import Checked, Registered
from resources.errors import SluiceError, readable
from resources.settings import Settings
from resources.wording import counted, raised

# How long the end of a run waits for a write that began long before.
_LAST_SECONDS = 5.0


def registration(event: Event, subject: str, schema_id: int, *, during: str, by: str) -> JournalRecord:
    """The record of a contract that was registered now."""
    details = Registered(subject, schema_id, event.contract.fingerprint, during)
    return journal_record(event.topic, details, event=event.full_name, by=by)


def passed_check(event: Event, *, by: str) -> JournalRecord:
    """The record of a check that passed; the same one for each check of this code version."""
    details = Checked(event.code_version, event.contract.fingerprint)
    return journal_record(event.topic, details, event=event.full_name, by=by)


class Milestones:
    """Writes records in its own threads. `warn` is called in the owner's thread, by `close`."""

    def __init__(self, settings: Settings, *, warn: Callable[[str], None]) -> None:
        self._settings, self._warn = settings, warn
        self._writing: list[tuple[threading.Thread, Sequence[JournalRecord]]] = []
        self._failed: list[tuple[Sequence[JournalRecord], str]] = []

    def note(self, *records: JournalRecord) -> None:
        """Start to write records of what has happened. Never raises and never waits."""
        # A daemon thread: a process that ends does not wait for a journal that cannot be reached.
        thread = threading.Thread(target=self._write, args=(records,), name="sluice-journal", daemon=True)
        self._writing.append((thread, records))
        thread.start()

    def _write(self, records: Sequence[JournalRecord]) -> None:
        try:
            Journal(self._settings).write(records)
        except SluiceError as error:
            self._failed.append((records, str(error)))
        except Exception as error:  # whatever it is, the publication continues
            self._failed.append((records, readable(raised(error))))

    def close(self) -> int:
        """Wait a moment for the writes in progress, and warn about those that failed;
        returns how many records are missing."""
        late: list[tuple[Sequence[JournalRecord], str]] = []
        for thread, records in self._writing:
            thread.join(_LAST_SECONDS if not late else 0)
            if thread.is_alive():
                late.append((records, f"Kafka has not answered within {_LAST_SECONDS:g} s"))
        self._writing.clear()
        missing = [*self._failed, *late]
        self._failed = []
        count = sum(len(records) for records, _ in missing)
        if missing:
            self._warn(not_written([one for records, _ in missing for one in records], missing[0][1]))
        return count


@contextmanager
def milestones_at_end(
    settings: Settings, *, warn: Callable[[str], None], writing: Callable[[], None] = lambda: None
) -> Iterator[list[JournalRecord]]:
    """A list for records of what the block has done. They are written at the end of the block, even if it
    fails or is stopped. If they cannot be written, there is only a warning, because the work was done all the
    same. `writing` is called before, if there is something to write."""
    records: list[JournalRecord] = []
    try:
        yield records
    finally:
        if records:
            try:
                Journal(settings).write_missing(records, writing=writing)
            except SluiceError as error:
                warn(not_written(records, str(error)))


def not_written(records: Sequence[JournalRecord], why: str) -> str:
    """The message if milestones could not be written, and nothing else is wrong."""
    named = ", ".join(dict.fromkeys(f"{one.kind} {one.topic}" for one in records[:3]))
    return (
        f"journal: {counted(len(records), 'record was', 'records were')} not written ({named}"
        f"{', …' if len(records) > 3 else ''}), and sluice history will not show what happened: {why}"
    )
