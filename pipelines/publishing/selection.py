"""Which events of a window a replay publishes again: all, some keys, or a range of event time."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import fsspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.authoring.windows import Window
from pipelines.encoding.keys import key_bytes
from resources.errors import SluiceError

_NAMED = 3


@dataclass(frozen=True)
class Selection:
    """`keys` as text, of keys that are bytes in hexadecimal (empty: all); `since` and `until` bound the event time,
    half-open, UTC."""

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
        """True when no event is left out."""
        return not self.keys and self.since is None and self.until is None

    def within(self, window: Window) -> "Selection":
        """This selection for one window: bounds that all of its events meet are dropped."""
        since = self.since if self.since and self.since > window.start else None
        until = self.until if self.until and self.until < window.end else None
        return Selection(self.keys, since, until)

    def touches(self, window: Window) -> bool:
        """False when no event of the window can be meant."""
        return not (self.since and self.since >= window.end) and not (
            self.until and self.until <= window.start
        )

    def told(self) -> str | None:
        """What is selected, for the ledger and for people; None: everything."""
        parts = []
        if self.keys:
            some = sorted(self.keys)
            more = f" and {len(some) - _NAMED:,} more" if len(some) > _NAMED else ""
            parts.append(f"{len(some):,} key{'s' * (len(some) > 1)}: {', '.join(some[:_NAMED])}{more}")
        if self.since or self.until:
            parts.append(f"event time {_instant(self.since)}..{_instant(self.until)}")
        return "; ".join(parts) or None

    def rows(
        self, batches: Iterable[pa.RecordBatch], *, key: str, times_of: Callable[[pa.RecordBatch], pa.Array]
    ) -> Iterator[pa.RecordBatch]:
        """The selected rows of conformed batches, in their order. `key`: the field; `times_of`: a batch's event times."""
        wanted = None
        for batch in batches:
            keep = None
            if self.keys:
                column = batch.column(batch.schema.get_field_index(key))
                wanted = self._wanted(column.type) if wanted is None else wanted
                keep = pc.is_in(key_bytes(column), value_set=wanted)
            for bound, compare in ((self.since, pc.greater_equal), (self.until, pc.less)):
                if bound is not None:
                    times = times_of(batch)
                    # In microseconds: a bound between two milliseconds must not be rounded to one of them.
                    inside = compare(
                        times.cast(pa.timestamp("us", "UTC")), pa.scalar(bound, pa.timestamp("us", "UTC"))
                    )
                    keep = inside if keep is None else pc.and_(keep, inside)
            chosen = batch if keep is None else batch.filter(keep)
            if chosen.num_rows:
                yield chosen

    def _wanted(self, key_type: pa.DataType) -> pa.BinaryArray:
        texts = sorted(self.keys)
        if not (pa.types.is_binary(key_type) or pa.types.is_fixed_size_binary(key_type)):
            return pa.array([text.encode() for text in texts], pa.binary())
        try:
            return pa.array([bytes.fromhex(text.removeprefix("0x")) for text in texts], pa.binary())
        except ValueError:
            wrong = next(text for text in texts if not _is_hex(text))
            raise SluiceError(
                f"key {wrong!r}",
                "this event's keys are bytes",
                allowed="hexadecimal digits, two for each byte, as in 0x00ff",
            ) from None


def read_keys(address: str) -> frozenset[str]:
    """The keys in a file, one on each line, blank lines left out; none where no file is given."""
    if not address:
        return frozenset()
    try:
        with fsspec.open(address, "rt", encoding="utf-8-sig") as lines:
            keys = frozenset(line.strip() for line in lines) - {""}
    except (OSError, ValueError, ImportError) as error:
        raise SluiceError(
            f"keys file {address}",
            f"cannot be read: {error}",
            allowed="a text file in UTF-8, one key on each line",
        ) from None
    if not keys:
        raise SluiceError(f"keys file {address}", "holds no key", allowed="one key on each line")
    return keys


def _is_hex(text: str) -> bool:
    try:
        bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return False
    return True


def _instant(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else ""
