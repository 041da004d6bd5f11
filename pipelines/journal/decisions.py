"""Decisions of a person. Each is written to the journal before it is carried out: without its record nothing
is done."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from pipelines.journal.entry import JournalRecord, journal_record
from pipelines.journal.journal import Journal
from pipelines.journal.kinds import Accepted
from pipelines.ledger.acceptance import Rewrite
from pipelines.ledger.identity import Decision, Part
from resources.errors import SluiceError
from resources.settings import Settings


class NotRecorded(SluiceError):
    """A decision could not be written to the journal, so nothing was changed."""


def record_decision(settings: Settings, records: Sequence[JournalRecord]) -> None:
    """Write decisions. The caller carries them out only after this has returned. Raises NotRecorded."""
    try:
        Journal(settings).write(records)
    except SluiceError as error:
        raise NotRecorded(
            error.where,
            f"the decision could not be written to the journal, so nothing was changed: {error.problem}",
            allowed=error.allowed,
            next_step=error.next_step,
        ) from None


def record_acceptance(settings: Settings, part: Part, found: Iterable[Rewrite], word: Decision) -> None:
    """Write that a person accepts a different topic, cluster, store or location;
    one record for each event. Raises NotRecorded."""
    of_topic: dict[str, list[Rewrite]] = defaultdict(list)
    for one in found:
        of_topic[one.before.shadow_of or one.before.topic].append(one)
    record_decision(settings, [_acceptance(topic, part, own, word) for topic, own in of_topic.items()])


def _acceptance(topic: str, part: Part, own: Sequence[Rewrite], word: Decision) -> JournalRecord:
    windows = sorted(one.before.window for one in own)
    ids = [one.ids(part) for one in own]
    details = Accepted(
        part,
        was=tuple(sorted({was for was, _ in ids})),
        now=tuple(sorted({now for _, now in ids})),
        windows=len(windows),
        first_window=windows[0],
        last_window=windows[-1],
    )
    return journal_record(
        topic, details, event=own[0].before.event, by=word.by, reason=word.reason, at=word.at
    )
