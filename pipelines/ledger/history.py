"""The earlier generations of a window, as far as the newest ledger entry remembers them.

The ledger is compacted: it keeps one entry for each window. That entry carries what the earlier generations
put on the topic, and at which offsets, so that everything that was ever published for the window can be read
back.
"""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.ledger.entry import LedgerEntry

# Beyond either limit, the oldest are forgotten: each ledger record carries all of them,
# and a broker takes 1 MB.
_MOST = 50
_MOST_BYTES = 200_000

# The fields that are needed to make a generation's records again and to find them on the topic.
_KEPT = (
    "event", "generation", "kind", "status", "snapshot", "rows_total", "rows_done", "code_version", "contract",
    "schema_id", "run_id", "written_at", "delta", "vanished", "request", "stale", "offsets", "displaced",
    "record_timestamp", "event_time",
)  # fmt: skip


def following(fresh: LedgerEntry, entry: LedgerEntry | None) -> LedgerEntry:
    """`fresh` as the next generation after `entry`, with `entry` among its earlier generations."""
    if entry is None:
        return fresh
    earlier = [*entry.earlier, _kept(entry)][-_MOST:]
    while len(json.dumps(earlier)) > _MOST_BYTES:
        del earlier[0]
    return fresh.advanced(earlier=tuple(earlier), accepted=entry.accepted)


def generations(entry: LedgerEntry) -> list[LedgerEntry]:
    """The generations of the window that `entry` knows, oldest first; `entry` is the last."""
    return [*(entry.advanced(earlier=(), **_read(one)) for one in entry.earlier), entry]


def whole_since(entry: LedgerEntry) -> list[LedgerEntry]:
    """The newest generations, back to the last one that published a whole snapshot. Together they are the
    window's state on the topic."""
    found: list[LedgerEntry] = []
    for one in reversed(generations(entry)):
        found.append(one)
        if one.delta is None:
            break
    return found[::-1]


def displaced(entry: LedgerEntry) -> LedgerEntry:
    """`entry` without valid offsets, for itself and for all generations that it remembers."""
    earlier = tuple(
        _kept(one.advanced(offsets={}, displaced=one.rows_done)) for one in generations(entry)[:-1]
    )
    return entry.advanced(offsets={}, displaced=entry.rows_done, earlier=earlier, topic_id=None)


def _kept(entry: LedgerEntry) -> dict[str, Any]:
    kept = {name: value for name in _KEPT if (value := getattr(entry, name)) is not None}
    if not entry.displaced:
        del kept["displaced"]  # older versions do not know the field
    return kept | {"offsets": {p: list(span) for p, span in entry.offsets.items()}}


def _read(one: Mapping[str, Any]) -> dict[str, Any]:
    offsets = {p: (int(first), int(last)) for p, (first, last) in one["offsets"].items()}
    # A field that a generation lacks is null, and is not taken from the newest entry.
    absent = dict.fromkeys(("delta", "vanished", "request", "record_timestamp", "event_time")) | {
        "displaced": 0,
        "stale": 0,
    }
    return absent | {name: one[name] for name in _KEPT if name in one} | {"offsets": offsets}
