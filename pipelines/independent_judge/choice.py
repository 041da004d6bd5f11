"""Which rows are judged: those with the extremes of a column, and some others. The
same rows give the same choice.

A wrong conversion most often hits an extreme: the largest number, the longest text, a null. The extremes of a
window are known only at its end. So each batch gives the rows that go beyond every row before them. These are
few: if the rows have no order, the n-th batch contains a new extreme with a probability of 1 in n.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.number]
# The values of one row's sort keys; the first key decides first.
_Words = tuple[np.number, ...]
_Place = Callable[[Numbers], np.intp]  # argmin or argmax

# Other rows of a batch besides its extremes. The first and last row are among them,
# because batches are joined there.
_OTHERS = 4
# The most new extremes of one batch: each is a row that is read several times in plain Python.
_MOST = 64
# After so many batches, only every 16th batch gives other rows and is searched for the first and last text:
# comparing texts costs as much as everything else here together.
_ALL_BATCHES, _EVERY = 4, 16


class Choice:
    """Chooses rows from the batches of one window, in their order. `seed` (the event and window) makes the
    choice different for each window. Only the rows and the seed decide.

    Extremes are: the smallest and largest number or instant of each column; the shortest and
    longest text, bytes, list and map; the first null; for a struct, those of its fields; with
    `text_order`, also the first and last text.
    """

    def __init__(self, seed: str, *, text_order: bool = False) -> None:
        self._seed = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
        self._text_order = text_order
        self._tracks: dict[str, _Track] = {}
        self._batches = 0

    def rows(
        self, columns: Iterable[tuple[str, pa.Array]], count: int, alive: Mask | None = None
    ) -> Sequence[int]:
        """The chosen rows of the next batch, ascending; only rows for which `alive` is true, if it is given.

        `columns` are the Arrow arrays by name, each with `count` rows.
        """
        if not count or (alive is not None and not alive.any()):
            return ()
        number, self._batches = self._batches, self._batches + 1
        thorough = number < _ALL_BATCHES or number % _EVERY == 0
        extremes: set[int] = set()
        for name, array in columns:
            for row in self._extremes(name, array, alive, self._text_order and thorough):
                if len(extremes) < _MOST:
                    extremes.add(row)
        if thorough:
            places = range(count) if alive is None else np.flatnonzero(alive).tolist()
            extremes |= {places[0], places[-1]}
            # Drawn by arithmetic: to create a random number generator for each batch costs more.
            draw = self._seed + number * 0x9E3779B97F4A7C15
            extremes |= {places[(draw >> 16 * n) % len(places)] for n in range(_OTHERS - 2)}
        return sorted(extremes)

    def extremes(self) -> dict[str, tuple[int, int]]:
        """The smallest and the largest value so far of each column of whole numbers, decimals
        (unscaled), dates and times."""
        return {
            name: found for name, track in self._tracks.items() if (found := track.extremes()) is not None
        }

    def _extremes(self, name: str, array: pa.Array, alive: Mask | None, text_order: bool) -> Iterator[int]:
        if isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        kind = array.type
        track = self._tracks.get(name)
        if track is None:
            track = self._tracks[name] = _Track(kind)
        present = alive
        if array.null_count:
            valid = _valid(array)
            if not track.null:
                nulls = ~valid if alive is None else alive & ~valid
                if nulls.any():
                    track.null = True
                    yield int(nulls.argmax())
            present = valid if alive is None else alive & valid
            if not present.any():
                return
        if track.keys is not None:
            yield from track.beyond(track.keys(array), present)
        if track.text and text_order:
            yield from track.text_beyond(array, alive)
        if track.struct:
            for n, child in enumerate(kind):
                # A value that is hidden under a null struct is not a value of the row.
                yield from self._extremes(f"{name}.{child.name}", array.field(n), present, text_order)


class _Track:
    """The extremes of one column so far."""

    def __init__(self, kind: pa.DataType) -> None:
        self.keys = _sort_keys(kind)
        self.text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        self.struct = pa.types.is_struct(kind)
        self._counts = is_counted(kind)
        self.null = False
        self._least: _Words | None = None
        self._most: _Words | None = None
        self._first: bytes | None = None
        self._last: bytes | None = None

    def extremes(self) -> tuple[int, int] | None:
        """None if there are none, and for lengths and floats."""
        if not self._counts or self._least is None:
            return None
        # Both are set by the first value.
        return _joined(self._least), _joined(cast(_Words, self._most))

    def beyond(self, keys: Sequence[Numbers], present: Mask | None) -> Iterator[int]:
        """The rows of the smallest and the largest value, if they are new; ordered by the first
        of `keys`, then by the next."""
        places = None if present is None else np.flatnonzero(present)
        if places is not None:
            keys = [key[places] for key in keys]
        head = keys[0]
        least, most = head.min(), head.max()
        if self._least is None or least <= self._least[0]:
            values, row = _extreme(keys, least, np.argmin)
            if self._least is None or values < self._least:
                self._least = values
                yield row if places is None else int(places[row])
        if self._most is None or most >= self._most[0]:
            values, row = _extreme(keys, most, np.argmax)
            if self._most is None or values > self._most:
                self._most = values
                yield row if places is None else int(places[row])

    def text_beyond(self, array: pa.Array, alive: Mask | None) -> Iterator[int]:
        """The rows of the first and the last text in the order of bytes. Arrow only
        chooses here; it converts nothing."""
        found = pc.min_max(array)
        first, last = (found[name].as_buffer() for name in ("min", "max"))
        first, last = first.to_pybytes(), last.to_pybytes()
        new: list[pa.Scalar] = []
        if self._first is None or first < self._first:
            self._first = first
            new.append(found["min"])
        if self._last is None or last > self._last:
            self._last = last
            new.append(found["max"])
        for value in new:
            row = pc.index(array, value).as_py()
            if row >= 0 and (alive is None or alive[row]):
                yield row


def is_counted(kind: pa.DataType) -> bool:
    """Whether values of `kind` are whole numbers, or are stored as whole numbers."""
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_decimal(kind)
        or (types.is_temporal(kind) and not types.is_interval(kind))
    )


def _joined(words: Sequence[np.number]) -> int:
    """One number from its 64-bit words, the highest first."""
    number = int(words[0])
    for word in words[1:]:
        number = number << 64 | int(word)
    return number


def _extreme(keys: Sequence[Numbers], value: np.number, best: _Place) -> tuple[_Words, int]:
    """The values and the row of the extreme whose first key is `value`."""
    if len(keys) == 1:
        return (value,), int(best(keys[0]))
    rows = np.flatnonzero(keys[0] == value)
    values = [value]
    for key in keys[1:]:
        part = key[rows]
        value = part[best(part)]
        values.append(value)
        rows = rows[part == value]
    return tuple(values), int(rows[0])


def _sort_keys(kind: pa.DataType) -> Callable[[pa.Array], Sequence[Numbers]] | None:
    """A function from an array of `kind` to numbers that order its rows, values or
    lengths; None if there is no order."""
    types = pa.types
    if types.is_decimal(kind):
        return _decimal_keys(kind)
    if types.is_string(kind) or types.is_binary(kind) or types.is_list(kind) or types.is_map(kind):
        return lambda array: [np.diff(_buffer(array, np.dtype("<i4"), beyond=1))]
    if types.is_large_string(kind) or types.is_large_binary(kind) or types.is_large_list(kind):
        return lambda array: [np.diff(_buffer(array, np.dtype("<i8"), beyond=1))]
    if types.is_floating(kind):
        letter = "f"
    elif types.is_unsigned_integer(kind):
        letter = "u"
    elif types.is_integer(kind) or (types.is_temporal(kind) and not types.is_interval(kind)):
        letter = "i"
    else:
        return None
    number = np.dtype(f"<{letter}{kind.bit_width // 8}")
    if letter == "f":
        return lambda array: [_without_nan(_buffer(array, number))]
    return lambda array: [_buffer(array, number)]


def _decimal_keys(kind: pa.DataType) -> Callable[[pa.Array], Sequence[Numbers]]:
    # Little-endian two's complement: the words that the precision may need, the highest first and signed.
    if kind.byte_width < 8:
        return lambda array: [_buffer(array, np.dtype("<i4"))]
    words = kind.byte_width // 8
    needed = min(words, (10**kind.precision).bit_length() // 64 + 1)

    def keys(array: pa.Array) -> Sequence[Numbers]:
        table = _buffer(array, np.dtype("<i8"), words)
        table = table.reshape(-1, words)
        return [
            table[:, needed - 1],
            *(table[:, word].view("<u8") for word in range(needed - 2, -1, -1)),
        ]

    return keys


def _without_nan(numbers: Numbers) -> Numbers:
    # Otherwise NaN would be both extremes.
    return (
        np.nan_to_num(numbers, nan=0.0, posinf=np.inf, neginf=-np.inf)
        if numbers.min() != numbers.min()
        else numbers
    )


def _buffer(array: pa.Array, kind: np.dtype[np.number], width: int = 1, beyond: int = 0) -> Numbers:
    """The part of the array's second buffer that belongs to its rows, and `beyond` more entries."""
    data = array.buffers()[1]
    count = len(array) + beyond
    if data is None or data.size == 0:
        return np.zeros(count * width, kind)
    return np.frombuffer(data, kind, count * width, array.offset * width * kind.itemsize)


def _valid(array: pa.Array) -> Mask:
    bitmap = array.buffers()[0]
    if bitmap is None:
        return (
            np.zeros(len(array), np.bool_) if pa.types.is_null(array.type) else np.ones(len(array), np.bool_)
        )
    first, skip = divmod(array.offset, 8)
    bits = np.frombuffer(bitmap, np.uint8)[first : first + (skip + len(array) + 7) // 8]
    found: Mask = np.unpackbits(bits, bitorder="little")[skip : skip + len(array)].view(np.bool_)
    return found
