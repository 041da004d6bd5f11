"""The generations of a window before its newest, as far as the newest ledger entry remembers them.

The ledger is compacted: it keeps one entry of a window. What its earlier generations put on the topic, and where, is
carried along in it, so that everything that was ever published for the window can be read back.
"""

import json
from collections.abc import Mapping
from typing import Any

from pipelines.ledger.entry import LedgerEntry

# Beyond either, the oldest are forgotten: each ledger record carries them all, and a broker takes 1 MB.
_MOST = 50
_MOST_BYTES = 200_000

# What it takes to make a generation's records again and to know where they are.
_KEPT = (
    "event", "generation", "kind", "status", "snapshot", "rows_total", "rows_done", "code_version", "contract",
    "schema_id", "run_id", "written_at", "delta", "vanished", "request", "stale", "offsets", "displaced",
    "record_timestamp", "event_time",
)  # fmt: skip


def following(fresh: LedgerEntry, entry: LedgerEntry | None) -> LedgerEntry:
    """`fresh`, the next generation after `entry`, with `entry` among those it remembers."""
    if entry is None:
        return fresh
    earlier = [*entry.earlier, _kept(entry)][-_MOST:]
    while len(json.dumps(earlier)) > _MOST_BYTES:
        del earlier[0]
    return fresh.advanced(earlier=tuple(earlier), accepted=entry.accepted)


def generations(entry: LedgerEntry) -> list[LedgerEntry]:
    """The window's generations that `entry` knows, oldest first, itself the last."""
    return [*(entry.advanced(earlier=(), **_read(one)) for one in entry.earlier), entry]


def whole_since(entry: LedgerEntry) -> list[LedgerEntry]:
    """The newest generations, down to the last that published a whole snapshot: what the window is on the topic."""
    found: list[LedgerEntry] = []
    for one in reversed(generations(entry)):
        found.append(one)
        if one.delta is None:
            break
    return found[::-1]


def displaced(entry: LedgerEntry) -> LedgerEntry:
    """`entry` where none of its offsets is valid any more, nor those of the generations it remembers."""
    earlier = tuple(
        _kept(one.advanced(offsets={}, displaced=one.rows_done)) for one in generations(entry)[:-1]
    )
    return entry.advanced(offsets={}, displaced=entry.rows_done, earlier=earlier, topic_id=None)


def _kept(entry: LedgerEntry) -> dict[str, Any]:
    kept = {name: value for name in _KEPT if (value := getattr(entry, name)) is not None}
    if not entry.displaced:
        del kept["displaced"]  # versions before it do not know it
    return kept | {"offsets": {p: list(span) for p, span in entry.offsets.items()}}


def _read(one: Mapping[str, Any]) -> dict[str, Any]:
    offsets = {p: (int(first), int(last)) for p, (first, last) in one["offsets"].items()}
    # What a generation has not is null, and not what the newest has.
    absent = dict.fromkeys(("delta", "vanished", "request", "record_timestamp", "event_time")) | {
        "displaced": 0,
        "stale": 0,
    }
    return absent | {name: one[name] for name in _KEPT if name in one} | {"offsets": offsets}
