"""A ledger entry: what is on the topic for one window, as JSON in the ledger topic.

The key is `topic|window`, not the event's name: a renamed module goes on where it was instead of publishing
everything again, and a new topic (`….v2`) starts empty, whatever was on the old one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from resources.errors import SluiceError

Kind = Literal["backfill", "correction", "replay", "redrive"]
Status = Literal["publishing", "published"]


class LedgerDamaged(SluiceError):
    """A ledger record that this version of Sluice cannot read; publishing on would be a guess."""


class TopicOfAnother(SluiceError):
    """A topic that holds another event's publications or replays; nothing was written."""


@dataclass(frozen=True)
class LedgerEntry:
    """The newest committed state of a window.

    `snapshot` is the hash of the snapshot the topic equals once `status` is `published`. `rows_done` of
    `rows_total` records of this generation are committed: the rows of the stored snapshot `delta` (of stage
    `kind`), or of all of `snapshot` where there is none, then tombstones for the keys in `vanished`. Before a
    correction the topic held the first `base_rows` rows of `base_snapshot`. `request` names the launch that asked
    for a replay, so that its retries do not replay again; `selection` says which rows it asked for. On a shadow
    topic, `shadow_of` is the topic whose events are replayed there. `stale` rows were left out because their key
    has a newer value on the topic. `earlier` are the generations before (see generations.py).
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

    @property
    def key(self) -> str:
        """Key of the ledger record."""
        return ledger_key(self.topic, self.window)

    @property
    def complete(self) -> bool:
        """True when the topic equals the snapshot."""
        return self.status == "published"

    def require_of(self, topic: str, *, replayed_to: str | None) -> None:
        """Raise TopicOfAnother unless this is a window of the events of `topic`, there or replayed to another topic."""
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
        """The record's value."""
        return json.dumps({"v": 1, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode()

    def advanced(self, **changes: Any) -> "LedgerEntry":
        """This entry with `changes`."""
        return replace(self, **changes)


_NAMES = {f.name for f in fields(LedgerEntry)}


def ledger_key(topic: str, window: str) -> str:
    """Key of a window's record; neither part can hold the separator."""
    return f"{topic}|{window}"


def read_entry(key: str, value: bytes | None) -> LedgerEntry | None:
    """Parse a record's value; unknown fields of a later version are an error, for they may matter."""
    if value is None:
        return None
    try:
        raw = json.loads(value)
        if raw.pop("v") != 1 or not set(raw) <= _NAMES or raw["kind"] not in get_args(Kind):
            raise ValueError(f"written by a later version (fields {', '.join(sorted(set(raw) - _NAMES))})")
        raw["offsets"] = {p: (int(first), int(last)) for p, (first, last) in raw["offsets"].items()}
        raw["earlier"] = tuple(raw.get("earlier", ()))
        return LedgerEntry(**raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerDamaged(
            f"ledger record {key}",
            f"cannot be read: {error}",
            next_step="publish with the version that wrote it, or see docs/operating.md#ledger",
        ) from None
