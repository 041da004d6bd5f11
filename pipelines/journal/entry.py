"""A journal record: a decision or a milestone of one event, as JSON in the journal topic.

The key is the event's topic, so that a renamed module keeps its history. Every record is checked when it is
read, like a ledger record. But nothing is published because of a journal record, so kinds and fields of later
versions are kept and shown; a ledger record with them is refused.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256

from pipelines.journal.kinds import KINDS, Details, identity_of, kind_of
from pipelines.ledger import record_validation as record
from resources.errors import SluiceError
from resources.json_value import Json
from resources.kafka.topics.journal_topic import Entry
from resources.security.secrets import hide
from resources.wording import text_of

VERSION = 1
# Large enough for a reason of 100,000 characters and a thousand names.
MOST_BYTES = 1_000_000
_DEEPEST = 50


class JournalDamaged(SluiceError):
    """A record of the journal that cannot be read. The other records are read without it."""


@dataclass(frozen=True)
class JournalRecord:
    """Something that happened to the event of `topic`, or was decided about it.

    `event`: its name at that time. `at`: when it happened, or was seen, UTC. `by`: the person or the service.
    `reason`: that person's words. `details`: typed, by kind; None for a kind that this version does not know.
    `more`: fields that this version does not know, of the record and, under `details`, of its details; all
    details if the kind is not known.
    """

    id: str
    kind: str
    topic: str
    at: str
    by: str
    event: str | None = None
    reason: str | None = None
    details: Details | None = None
    more: Mapping[str, Json] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The details, for people; if the kind is not known, as they are."""
        if self.details is not None:
            return str(self.details)
        return json.dumps(self.more.get("details", {}), ensure_ascii=False, sort_keys=True)

    def as_json(self) -> dict[str, Json]:
        """The record's value, and what `--json` shows."""
        found: dict[str, Json] = {
            "v": VERSION,
            "id": self.id,
            "kind": self.kind,
            "event": self.event,
            "topic": self.topic,
            "at": self.at,
            "by": self.by,
            "reason": self.reason,
        }
        details = self.more.get("details", {})
        if self.details is not None:
            own = {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in asdict(self.details).items()
            }
            details = {**(details if isinstance(details, dict) else {}), **own}
        more = {name: value for name, value in self.more.items() if name != "details"}
        return {**more, **found, "details": details}

    def to_json(self) -> bytes:
        """The value of the Kafka record. Raises SluiceError if it would be larger than a reader accepts."""
        value = json.dumps(self.as_json(), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        if len(value) > MOST_BYTES:
            raise SluiceError(
                f"journal, {self.kind} of {self.topic}",
                f"the record would have {len(value):,} bytes",
                allowed=f"at most {MOST_BYTES:,}",
                next_step="give a shorter reason",
            )
        return value


def journal_record(
    topic: str, details: Details, *, event: str, by: str, reason: str | None = None, at: str | None = None
) -> JournalRecord:
    """A new record. Its id is computed from what happened, so a record that is written twice is read once.

    A decision's id also contains `at` and `by`: a caller that repeats a write that may have failed passes the
    same `at`. Secrets of the settings are removed from `reason` and `by`. Raises SluiceError for details that
    no reader would accept.
    """
    kind = kind_of(details)
    at = at or now()
    by, reason = hide(_characters(by)), None if reason is None else hide(_characters(reason))
    about: dict[str, object] = {"kind": kind.name, "topic": topic, **identity_of(details)}
    if kind.decision:
        about |= {"at": at, "by": by, "reason": reason}
    made = sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    new = JournalRecord(made, kind.name, topic, at, by, event, reason, details)
    try:
        # What is written must be readable.
        return replace(_read(new.to_json()), more={})
    except ValueError as error:
        raise SluiceError(f"journal, {kind.name} of {topic}", text_of(error)) from None


def read_record(entry: Entry) -> JournalRecord:
    """The record of a topic's entry. Raises JournalDamaged for one that no version of Sluice can have written
    there."""
    try:
        if entry.value is None:
            raise ValueError("it has no value")
        found = _read(entry.value)
        if found.topic != entry.key:
            raise ValueError(f"it is about {record.shown(found.topic)}")
        return found
    except ValueError as error:
        raise JournalDamaged(
            f"journal record of {record.shown(entry.key)} (partition {entry.kafka_partition} offset {entry.offset:,})",
            f"cannot be read: {text_of(error)}",
            next_step="it is left out; see docs/journal.md#records-that-cannot-be-read",
        ) from None


_RULES: Mapping[str, record.Rule] = {
    "v": record.whole(1, 2**31 - 1),
    "id": record.matching("[0-9a-f]{32}", "an id of 32 hex digits"),
    "kind": record.matching("[a-z][a-z0-9_]{0,63}", "the name of a kind"),
    "topic": record.matching(r"[A-Za-z0-9._-]{1,249}", "the name of a topic"),
    "at": record.instant,
    "by": record.text,
    "event": record.optional(record.text),
    "reason": record.optional(record.text),
}
_REQUIRED = ("v", "id", "kind", "topic", "at", "by")


def _read(value: bytes) -> JournalRecord:
    if len(value) > MOST_BYTES:
        raise ValueError(f"it has {len(value):,} bytes, and at most {MOST_BYTES:,} are written")
    raw = record.parsed(value, number=_number)
    _require_shallow(raw)
    known = {name: raw[name] for name in _RULES if name in raw}
    found = record.checked(known, _RULES, _REQUIRED)
    del found["v"]
    more = {name: one for name, one in raw.items() if name not in _RULES and name != "details"}
    details, unknown = _details(found["kind"], raw.get("details", {}))
    clean = {_characters(name): _clean(one) for name, one in {**more, **unknown}.items()}
    return JournalRecord(**found, details=details, more=clean)


def _details(kind: str, raw: object) -> tuple[Details | None, dict[str, Json]]:
    """The details that this version knows, and those that it does not know."""
    if not isinstance(raw, dict):
        raise ValueError(f"details={record.shown(raw)}: is not an object")
    form = KINDS.get(kind)
    if form is None:
        return None, {"details": raw}
    known = {name: raw[name] for name in form.rules if name in raw}
    found = form.details(**record.checked(known, form.rules, form.required))
    unknown = {name: value for name, value in raw.items() if name not in form.rules}
    return found, {"details": unknown} if unknown else {}


def _require_shallow(raw: Json) -> None:
    """Raise ValueError for a nesting that no later version needs, and that could not be written again."""
    level: list[Json] = [raw]
    for _ in range(_DEEPEST):
        inner: list[Json] = []
        for one in level:
            inner += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        level = inner
    if level:
        raise ValueError("it is nested too deep")


def _clean(value: Json) -> Json:
    """The value with a replacement mark for each surrogate, so that it can be shown."""
    if isinstance(value, dict):
        return {_characters(name): _clean(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return _characters(value) if isinstance(value, str) else value


def _characters(text: str) -> str:
    """The text without lone surrogates, which invalid bytes in a terminal or JSON's escapes can produce."""
    return text.encode("utf-8", "replace").decode()


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{record.shown(text)} is no number")
    return value


def now() -> str:
    """The current time, as the journal writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
