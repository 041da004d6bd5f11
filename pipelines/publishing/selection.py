"""Which events of a window a replay publishes again: all of them, some keys, or a range of event time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.authoring.windows import Window
from pipelines.contract.avro_type import AvroType
from pipelines.encoding.keys import key_bytes, typed_key
from pipelines.transform.record_timestamp import count_up
from resources.errors import SluiceError
from resources.process.waiting import waiting_for
from resources.wording import counted

_NAMED = 3


@dataclass(frozen=True)
class Selection:
    """`keys` as a person types them (see `typed_key`; empty: all);
    `since` and `until` bound the event time, half-open, UTC."""

    keys: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.since and self.until and self.since >= self.until:
            raise SluiceError(
                "replay",
                f"its range of event time {_instant(self.since)}..{_instant(self.until)} ends before it begins",
                allowed="from before until; until is not part of the range",
            )

    @property
    def everything(self) -> bool:
        """True if no event is left out."""
        return not self.keys and self.since is None and self.until is None

    def within(self, window: Window) -> "Selection":
        """This selection for one window, without bounds that all of the window's events meet."""
        since = self.since if self.since and self.since > window.start else None
        until = self.until if self.until and self.until < window.end else None
        return Selection(self.keys, since, until)

    def touches(self, window: Window) -> bool:
        """False if the selection cannot contain any event of the window."""
        return not (self.since and self.since >= window.end) and not (
            self.until and self.until <= window.start
        )

    def told(self) -> str | None:
        """The selection in words, for the ledger and for people; None: everything."""
        parts = []
        if self.keys:
            some = sorted(self.keys)
            more = f" and {len(some) - _NAMED:,} more" if len(some) > _NAMED else ""
            parts.append(f"{counted(len(some), 'key')}: {', '.join(some[:_NAMED])}{more}")
        if self.since or self.until:
            parts.append(f"event time {_instant(self.since)}..{_instant(self.until)}")
        return "; ".join(parts) or None

    def rows(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        key: str,
        key_type: AvroType,
        times_of: Callable[[pa.RecordBatch], pa.Array],
    ) -> Iterator[pa.RecordBatch]:
        """The selected rows of conformed batches, in their order. `key`: the key field, of type `key_type`;
        `times_of`: returns a batch's event times."""
        wanted = pa.array(sorted(self.typed(key_type)), pa.binary())
        for batch in batches:
            keep = self._in_time(batch, times_of)
            if self.keys:
                column = batch.column(batch.schema.get_field_index(key))
                found = pc.is_in(key_bytes(column), value_set=wanted)
                keep = found if keep is None else pc.and_(keep, found)
            chosen = batch if keep is None else batch.filter(keep)
            if chosen.num_rows:
                yield chosen

    def in_time(
        self, batches: Iterable[pa.RecordBatch], *, times_of: Callable[[pa.RecordBatch], pa.Array]
    ) -> Iterator[pa.RecordBatch]:
        """The rows in the range of event time, whatever their keys."""
        for batch in batches:
            keep = self._in_time(batch, times_of)
            chosen = batch if keep is None else batch.filter(keep)
            if chosen.num_rows:
                yield chosen

    def typed(self, key_type: AvroType) -> dict[bytes, list[str]]:
        """The keys as bytes on the topic, each with the texts that mean it.
        Texts that cannot be a key of the type are left out."""
        found: dict[bytes, list[str]] = {}
        for text in sorted(self.keys):
            key = typed_key(text, key_type)
            if isinstance(key, bytes):
                found.setdefault(key, []).append(text)
        return found

    def _in_time(
        self, batch: pa.RecordBatch, times_of: Callable[[pa.RecordBatch], pa.Array]
    ) -> pa.Array | None:
        keep = None
        for bound, compare in ((self.since, pc.greater_equal), (self.until, pc.less)):
            if bound is not None:
                times = times_of(batch)
                # In whole units: an instant is at or above a bound exactly if its
                # count is at or above the bound's count, rounded up.
                inside = compare(times.view(pa.int64()), count_up(bound, times.type.unit))
                keep = inside if keep is None else pc.and_(keep, inside)
        return keep


def read_keys(address: str) -> frozenset[str]:
    """The keys in a file, see `keys_in`; an empty set if `address` is "". Raises SluiceError."""
    if not address:
        return frozenset()
    try:
        with (
            waiting_for(f"keys file {address}"),
            fsspec.open(address, "rt", encoding="utf-8-sig", newline="\n") as lines,
        ):
            keys = frozenset(keys_in(lines))
    except (OSError, ValueError, ImportError) as error:
        raise SluiceError(
            f"keys file {address}",
            f"is not UTF-8 (byte {error.start})"
            if isinstance(error, UnicodeDecodeError)
            else f"cannot be read: {error}",
            allowed="a text file in UTF-8, one key on each line",
        ) from None
    if not keys:
        raise SluiceError(f"keys file {address}", "holds no key", allowed="one key on each line")
    return keys


def keys_in(lines: Iterable[str]) -> list[str]:
    """The key of each line. Only the line end is removed, since blanks belong to a key;
    empty lines are left out."""
    keys = (line.removesuffix("\n").removesuffix("\r") for line in lines)
    return [key for key in keys if key]


def _instant(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else ""
