"""Validates the value of a ledger record: types, ranges, and rules between fields.

A ledger record decides what is published. So a value that no run of Sluice can have written is refused before
anything is computed from it. The time and memory of the check are bounded by the value's size.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, get_args

Kind = Literal["backfill", "correction", "replay", "redrive"]
Status = Literal["publishing", "published"]

# A record of Sluice has up to 200 kB of earlier generations, a reason,
# and the offsets of each Kafka partition.
MOST_BYTES = 4_000_000
# A text is kept in each record of the window,
# and in a header of each record that a correction or a replay publishes.
MOST_TEXT = 100_000
MOST_GENERATIONS = 1_000_000
MOST_EARLIER = 1_000
_MOST_ROWS = 2**53
_MOST_OFFSET = 2**63 - 1
# Far more than a cluster can have.
_MOST_PARTITIONS = 1_000_000
_SHOWN = 60

Rule = Callable[[Any], Any]
"""Returns the value in the entry's form. Raises ValueError with what is wrong."""


def parsed(value: bytes, *, number: Callable[[str], float] | None = None) -> dict[str, Any]:
    """The JSON object of a record. `number` reads numbers that are not whole; if it is not given, they are
    refused.

    Raises ValueError unless the value is UTF-8 and JSON by RFC 8259, and no object has the same name twice.
    """
    if len(value) > MOST_BYTES:
        raise ValueError(f"it has {len(value):,} bytes, and at most {MOST_BYTES:,} are written")
    try:
        raw = json.loads(
            value.decode(),
            object_pairs_hook=_object,
            parse_constant=_not_json,
            parse_float=number or _no_float,
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(raw, dict):
        raise ValueError(f"{shown(raw)} is not an object")
    return raw


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {shown(twice)} stands twice")
    return made


def _not_json(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _no_float(text: str) -> Any:
    raise ValueError(f"{shown(text)} is not a whole number")


def checked(raw: Mapping[str, Any], rules: Mapping[str, Rule], required: Sequence[str]) -> dict[str, Any]:
    """The fields of an object, each checked by its rule. Raises ValueError naming the first wrong field."""
    if unknown := sorted(set(raw) - set(rules)):
        told = ", ".join(map(shown, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        raise ValueError(f"written by a later version (fields {told})")
    if missing := [name for name in required if name not in raw]:
        raise ValueError(f"{', '.join(missing)} is missing")
    found = {}
    for name, value in raw.items():
        try:
            found[name] = rules[name](value)
        except ValueError as error:
            raise ValueError(f"{name}={shown(value)}: {error}") from None
    return found


def shown(value: object) -> str:
    """A value for an error message: short, and printable for any value."""
    text = repr(value) if isinstance(value, (str, int, bool, float, type(None))) else type(value).__name__
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return text.encode("utf-8", "backslashreplace").decode()


def whole(least: int, most: int) -> Rule:
    """A rule for a whole number in a range; true and false are not numbers."""

    def rule(value: Any) -> int:
        if type(value) is not int:
            raise ValueError("is not a whole number")
        if not least <= value <= most:
            raise ValueError(f"is not between {least:,} and {most:,}")
        return value

    return rule


def matching(pattern: str, what: str) -> Rule:
    """A rule for a text of a fixed form."""
    form = re.compile(pattern)

    def rule(value: Any) -> str:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise ValueError(f"is not {what}")
        return value

    return rule


def text(value: Any) -> str:
    """A rule for a person's words. Everything that is not a character (half of a surrogate pair, from a
    terminal's odd bytes) is replaced."""
    if not isinstance(value, str):
        raise ValueError("is not a text")
    if len(value) > MOST_TEXT:
        raise ValueError(f"has {len(value):,} characters, and at most {MOST_TEXT:,} are written")
    return value.encode("utf-8", "replace").decode()


def one_of(names: Sequence[str]) -> Rule:
    """A rule for one of a few words."""

    def rule(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError(f"is not one of {', '.join(names)}")
        return value

    return rule


def optional(rule: Rule) -> Rule:
    """A rule for null, or what `rule` allows."""
    return lambda value: None if value is None else rule(value)


def instant(value: Any) -> str:
    """A rule for an instant in ISO 8601 with its zone."""
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("is not an instant")
    at = datetime.fromisoformat(value)
    if at.tzinfo is None or not 1970 < at.year < 9000:
        raise ValueError("is not an instant with its zone")
    return value


def offsets(value: Any) -> dict[str, tuple[int, int]]:
    """A rule for Kafka partition -> first and last offset."""
    if not isinstance(value, dict):
        raise ValueError("is not an object")
    found = {}
    place, number = whole(0, _MOST_OFFSET), matching("0|[1-9][0-9]{0,9}", "the number of a Kafka partition")
    for partition, span in value.items():
        if int(number(partition)) >= _MOST_PARTITIONS:
            raise ValueError(f"partition {partition} is not below {_MOST_PARTITIONS:,}")
        if not isinstance(span, list) or len(span) != 2:
            raise ValueError(f"partition {partition} has no first and last offset")
        first, last = map(place, span)
        if first > last:
            raise ValueError(f"partition {partition} begins at {first:,}, behind its end {last:,}")
        found[partition] = (first, last)
    return found


_HASH = matching("[0-9a-f]{64}", "a SHA-256 in hex")
_PART = r"(?!\.{1,2}(?:/|$))[^/|\x00-\x1f\ud800-\udfff]{1,255}"
SHORT = matching(r"[^\x00-\x1f\ud800-\udfff]{1,300}", "an id of at most 300 characters")

OF_GENERATION: Mapping[str, Rule] = {
    "event": matching(f"{_PART}/{_PART}", "the name of an event, domain/name"),
    "generation": whole(1, MOST_GENERATIONS),
    "kind": one_of(get_args(Kind)),
    "status": one_of(get_args(Status)),
    "snapshot": _HASH,
    "rows_total": whole(0, _MOST_ROWS),
    "rows_done": whole(0, _MOST_ROWS),
    "code_version": matching("[0-9a-f]{8,64}", "a code version in hex"),
    "contract": _HASH,
    "schema_id": whole(0, 2**31 - 1),
    "run_id": SHORT,
    "written_at": instant,
    "delta": optional(_HASH),
    "vanished": optional(_HASH),
    "request": optional(SHORT),
    "stale": whole(0, _MOST_ROWS),
    "offsets": offsets,
    "displaced": whole(0, _MOST_ROWS),
    "record_timestamp": optional(one_of(("event_time", "publish_time"))),
    "event_time": optional(matching("[A-Za-z_][A-Za-z0-9_]{0,254}", "the name of a field")),
}
"""The rules for the fields of one generation. An entry keeps these fields of its earlier generations."""

OF_GENERATION_REQUIRED = tuple(
    name
    for name in OF_GENERATION
    if name
    not in ("delta", "vanished", "request", "stale", "offsets", "displaced", "record_timestamp", "event_time")
)


def require_consistent(one: Mapping[str, Any]) -> None:
    """Check the rules between the fields of a generation. Raises ValueError."""
    done, total, kind, delta = one["rows_done"], one["rows_total"], one["kind"], one.get("delta")
    if done > total:
        raise ValueError(f"rows_done={done:,} is more than rows_total={total:,}")
    if one["status"] == "published" and done != total:
        raise ValueError(f"status=published, and rows_done={done:,} of rows_total={total:,}")
    displaced = one.get("displaced", 0)
    if displaced > done:
        raise ValueError(f"displaced={displaced:,} is more than rows_done={done:,}")
    if done > displaced and not one.get("offsets"):
        raise ValueError(f"rows_done={done:,}, and no offsets")
    if one.get("record_timestamp") == "event_time" and one.get("event_time") is None:
        raise ValueError("record_timestamp=event_time, and no event_time")
    room = sum(last - first + 1 for first, last in one.get("offsets", {}).values())
    if done - displaced > room:
        raise ValueError(f"rows_done={done:,}, and its offsets have room for {displaced + room:,}")
    if kind in ("correction", "redrive") and delta is None:
        raise ValueError(f"kind={kind}, and no delta")
    if kind == "backfill" and one.get("vanished") is not None:
        raise ValueError("kind=backfill, and vanished keys")
