"""A ledger entry: what a topic holds for one window, as JSON in the ledger topic.

The key is `topic|window`, without the event's name: a renamed module continues where it was instead of
publishing everything again, and a new topic (`….v2`) starts empty, whatever the old topic holds.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from pipelines.ledger import record_validation as record
from pipelines.ledger.record_validation import Kind, Status
from resources.errors import SluiceError
from resources.kafka.topics.ledger_topic import LedgerValue
from resources.wording import text_of


class LedgerDamaged(SluiceError):
    """A ledger record that this version of Sluice cannot read. To publish in spite of it would be a guess."""


class TopicOfAnother(SluiceError):
    """A topic that holds another event's publications or replays. Nothing was written."""


@dataclass(frozen=True)
class LedgerEntry:
    """The newest committed state of a window.

    `snapshot` is the hash of the snapshot that the topic equals once `status` is `published`. `rows_done` of
    `rows_total` records of this generation are committed: first the rows of the stored snapshot `delta` (of
    stage `kind`), or all rows of `snapshot` if there is no delta; then tombstones for the keys in `vanished`.
    Before a correction the topic held the first `base_rows` rows of `base_snapshot`. `request` names the
    launch that requested a replay, so that its retries do not replay again; `selection` says in words which
    rows it requested. On a shadow topic, `shadow_of` is the topic whose events are replayed there. `stale`
    records were left out because the topic has a newer value of their key. `earlier`: the generations before
    this one (see history.py).

    `topic_id` is the id of the topic that holds `offsets`. `cluster_id`, `store_id` and `code_location` are
    the ids of the Kafka cluster, the snapshot store and the installation (see identity.py). Each is None if
    it was not known, or if an older version of Sluice wrote the entry. `accepted`: who accepted that
    something replaced one of them, when and why. For the first `displaced` rows of the generation no offsets
    on this topic are known.

    `record_timestamp` is what the record timestamps of this generation were promised to be: "event_time",
    then from the field `event_time`, or "publish_time". It is None if an older version wrote the entry.
    """

    event: str
    window: str
    topic: str
    generation: int
    kind: Kind
    status: Status
    snapshot: str
    rows_total: int
    rows_done: int
    code_version: str
    contract: str
    schema_id: int
    run_id: str
    written_at: str
    base_snapshot: str | None = None
    base_rows: int = 0
    delta: str | None = None
    vanished: str | None = None
    reason: str | None = None
    requested_by: str | None = None
    request: str | None = None
    selection: str | None = None
    shadow_of: str | None = None
    stale: int = 0
    bytes_done: int = 0
    offsets: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    earlier: tuple[Mapping[str, Any], ...] = ()
    displaced: int = 0
    topic_id: str | None = None
    cluster_id: str | None = None
    store_id: str | None = None
    code_location: str | None = None
    accepted: tuple[Mapping[str, Any], ...] = ()
    record_timestamp: str | None = None
    event_time: str | None = None

    @property
    def key(self) -> str:
        """The key of the ledger record."""
        return ledger_key(self.topic, self.window)

    @property
    def complete(self) -> bool:
        """True if the topic equals the snapshot."""
        return self.status == "published"

    def require_of(self, topic: str, *, replayed_to: str | None) -> None:
        """Raise TopicOfAnother unless this entry belongs to the events of `topic`: published to it,
        or replayed to `replayed_to`."""
        if (self.shadow_of or self.topic) == topic and (self.shadow_of is None) == (replayed_to is None):
            return
        told = f"replays of {self.shadow_of}" if self.shadow_of else f"the events of {self.event}"
        raise TopicOfAnother(
            f"topic {self.topic}",
            f"holds {told} in window {self.window}, as the ledger says",
            allowed="a topic that nothing else is published to",
            next_step="replay to another topic" if replayed_to else "publish to another topic",
        )

    def to_json(self) -> bytes:
        """The value of the ledger record."""
        told = {name: value for name, value in asdict(self).items() if value or name not in _LATER}
        return json.dumps({"v": 1, **told}, sort_keys=True, separators=(",", ":")).encode()

    def advanced(self, **changes: Any) -> "LedgerEntry":
        """This entry with `changes`."""
        return replace(self, **changes)


# Empty values of these fields are left out, so that older versions,
# which do not know the fields, can read the record.
_LATER = (
    "displaced", "topic_id", "cluster_id", "store_id", "code_location", "accepted", "record_timestamp", "event_time",
)  # fmt: skip
_TOPIC = record.matching(r"[A-Za-z0-9._-]{1,249}", "the name of a topic")
_RULES: Mapping[str, record.Rule] = {
    **record.OF_GENERATION,
    "window": record.matching("[0-9A-Za-z:+_-]{1,64}", "the key of a window"),
    "topic": _TOPIC,
    "base_snapshot": record.OF_GENERATION["delta"],
    "base_rows": record.OF_GENERATION["rows_total"],
    "bytes_done": record.whole(0, 2**63 - 1),
    "reason": record.optional(record.text),
    "requested_by": record.optional(record.text),
    "selection": record.optional(record.text),
    "shadow_of": record.optional(_TOPIC),
    **dict.fromkeys(("topic_id", "cluster_id", "store_id", "code_location"), record.optional(record.SHORT)),
    "accepted": lambda value: _accepted(value),
    "earlier": lambda value: _earlier(value),
}
_REQUIRED = (*record.OF_GENERATION_REQUIRED, "window", "topic", "offsets")


def ledger_key(topic: str, window: str) -> str:
    """The key of a window's record. Neither part can contain the separator."""
    return f"{topic}|{window}"


def read_entry(key: str, value: bytes | None) -> LedgerEntry | None:
    """The entry of a record, None if the record has no value. Raises LedgerDamaged for a value that Sluice
    cannot have written under this key. This includes unknown fields of a later version, because they may
    matter."""
    if value is None:
        return None
    try:
        if isinstance(value, LedgerValue) and value.misplaced:
            raise ValueError(
                "it is not in the partition of its key, so Sluice has not written it, and no run reads it"
            )
        raw = record.parsed(value)
        if (version := raw.pop("v", None)) != 1 or version is True:
            raise ValueError("written by a later version (v is not 1)")
        entry = LedgerEntry(**_checked(raw))
        if entry.key != key:
            raise ValueError(f"it is about {record.shown(entry.key)}")
        return entry
    except ValueError as error:
        at = (
            f" (partition {value.kafka_partition} offset {value.offset:,})"
            if isinstance(value, LedgerValue)
            else ""
        )
        raise LedgerDamaged(
            f"ledger record {record.shown(key)}",
            f"cannot be read: {text_of(error)}{at}",
            next_step="remove it: produce a record of this key without a value to that partition"
            if isinstance(value, LedgerValue) and value.misplaced
            else "publish with the version that wrote it, or see docs/operating.md#ledger",
        ) from None


def _checked(raw: Mapping[str, Any]) -> dict[str, Any]:
    found = record.checked(raw, _RULES, _REQUIRED)
    record.require_consistent(found)
    # The oldest generations are forgotten, but none between two that are remembered.
    numbers = [*(one["generation"] for one in found.get("earlier", ())), found["generation"]]
    for one, following in pairwise(numbers):
        if following != one + 1:
            raise ValueError(f"the generation after {one:,} is {following:,}")
    if found["kind"] == "backfill" and found.get("base_snapshot") is not None:
        raise ValueError("kind=backfill, and a base_snapshot")
    if found.get("base_rows") and found.get("base_snapshot") is None:
        raise ValueError(f"base_rows={found['base_rows']:,}, and no base_snapshot")
    return found


_ACCEPTED: Mapping[str, record.Rule] = {
    "what": record.one_of(("topic", "cluster", "store", "location")),
    "was": record.optional(record.SHORT),
    "now": record.optional(record.SHORT),
    "by": record.text,
    "at": record.instant,
    "reason": record.text,
}


def _accepted(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or len(value) > record.MOST_EARLIER:
        raise ValueError(f"is not a list of at most {record.MOST_EARLIER:,}")
    for one in value:
        if not isinstance(one, dict):
            raise ValueError(f"{record.shown(one)} is no acceptance")
    return tuple(record.checked(one, _ACCEPTED, tuple(_ACCEPTED)) for one in value)


def _earlier(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, list) or len(value) > record.MOST_EARLIER:
        raise ValueError(f"is not a list of at most {record.MOST_EARLIER:,} generations")
    found = []
    for one in value:
        if not isinstance(one, dict):
            raise ValueError(f"{record.shown(one)} is no generation")
        kept = record.checked(one, record.OF_GENERATION, record.OF_GENERATION_REQUIRED)
        record.require_consistent(kept)
        # Kept as it was read, so that it is written again unchanged.
        found.append(one)
    return tuple(found)


def now() -> str:
    """The present instant in UTC, in the ledger's format."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
