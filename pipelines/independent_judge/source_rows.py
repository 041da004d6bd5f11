"""Judges sourced rows: the warehouse is queried again for chosen rows, and answers in
plain Python values or in text."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

from pipelines.independent_judge.choice import Choice, is_counted
from pipelines.independent_judge.errors import Misjudged, NotJudged, first_difference, shown_time
from pipelines.independent_judge.values import Read, UnreadableType, decimal_of, reader_of, same
from resources.warehouse.names import quoted
from resources.warehouse.plain_values import UNKNOWN, Unknown, parameter_of

Row = dict[str, object]
"""The values of a row, by column: as `values.reader_of` or the warehouse's `plain_rows` returns them (UNKNOWN
if the driver does not give the exact value); Long for a long value."""
Places = dict[str, list[object]]
"""Values of some columns: the rows that have them are requested."""
Ask = Callable[[Places, int], list[Row]]
"""The warehouse's `plain_rows`: it takes places and the maximum number of rows."""
AskWhole = Callable[[Sequence[str], bool], Row]
"""Returns one row with the values of SQL expressions over all rows of the query. True:
compute the query in full first."""

# The most rows of a window that are requested again.
_MOST = 200
# The most rows of an answer for each requested row. If there are more, event time and key
# do not distinguish rows enough.
_ROWS_EACH = 8
_FEW = 200
# Queries after an answer that differs from the snapshot. A query with few possible answers
# must show that it has several.
_AGAIN = 4
# Of longer values, only the digest is kept.
_LONG = 512
# Two sums of the same floats in a different order may differ by this much.
_NEARLY = 1e-9


@dataclass(frozen=True)
class Judged:
    """`rows` rows of the snapshot are as the warehouse says. `unsteady`: columns for which the query gives a
    different answer each time."""

    rows: int
    unsteady: tuple[str, ...] = ()


class SourceJudge:
    """Chooses rows while they stream, and judges them after all rows were taken. `where`
    names the event and window."""

    def __init__(self, where: str, schema: pa.Schema, *, event_time: str, key: str) -> None:
        self._where, self._schema, self._event_time, self._key = where, schema, event_time, key
        self._choice = Choice(where, text_order=True)
        self._sample: list[tuple[int, Row]] = []
        self._rows = 0
        self._present: Counter[str] = Counter()

    def take(self, batch: pa.RecordBatch) -> Sequence[int]:
        """Take the next rows that are stored; returns the chosen ones, even if they are not
        kept because there are enough."""
        first, self._rows = self._rows, self._rows + batch.num_rows
        columns = list(zip(batch.schema.names, batch.columns, strict=True))
        for name, array in columns:
            self._present[name] += batch.num_rows - array.null_count
        chosen = self._choice.rows(columns, batch.num_rows)
        room = _MOST - len(self._sample)
        if not chosen or room <= 0:
            return chosen
        readers: dict[str, Read] = {}
        for name, array in columns:
            try:
                readers[name] = reader_of(array)
            except UnreadableType:
                continue  # the column is not judged
        for row in chosen[:room]:
            self._sample.append((first + row, {name: _kept(read(row)) for name, read in readers.items()}))
        return chosen

    def judge(self, ask: Ask, ask_again: Ask) -> Judged:
        """Query the chosen rows. If the first answer differs from the snapshot,
        `ask_again` is used; it may take longer.

        Raises Misjudged if the answers agree with each other and not with the snapshot. Raises NotJudged if
        the rows cannot be distinguished by event time and key.
        """
        names = self._locators()
        sample = [(number, row) for number, row in self._sample if self._can_be_found(row, names)]
        unsteady = dict.fromkeys(self._unsteady_rows(sample, names, ask, ask_again) if sample else ())
        return Judged(len(sample), tuple(unsteady))

    def judge_whole(self, unsteady: Sequence[str], ask: AskWhole, ask_again: Ask) -> tuple[str, ...]:
        """Query the extremes and the number of values of each column over all rows: a wrong value may
        have hidden the row with an extreme. Returns the unsteady columns, including those that were
        already known. Raises Misjudged."""
        found = self._unsteady_whole(set(unsteady), ask, ask_again) if self._rows else ()
        return tuple(dict.fromkeys([*unsteady, *found]))

    def _unsteady_rows(
        self, sample: list[tuple[int, Row]], names: Sequence[str], ask: Ask, ask_again: Ask
    ) -> Iterator[str]:
        """The columns of chosen rows for which the query gives a different answer each time."""
        places = _places(sample, names)
        answer = self._answer(ask, places, len(sample))
        lacking = _lacking(sample, answer, names)
        if lacking:
            others = [self._answer(ask_again, places, len(sample)) for _ in range(_AGAIN)]
            for number, row in lacking:
                yield from self._differing(number, row, names, [answer, *others], ask_again)

    def _named(self, row: Row) -> tuple[object, str]:
        """The key and event time of a row, for people."""
        time = row.get(self._event_time)
        kind = self._schema.field(self._event_time).type if time is not None else None
        return row.get(self._key, "not known"), "not known" if time is None else shown_time(time, kind)

    def _unsteady_whole(self, unsteady: set[str], ask: AskWhole, ask_again: Ask) -> Iterator[str]:
        """The columns whose extremes or counts are different each time."""
        wanted = self._whole()
        asked = [expression for expression, *_ in wanted]
        answers = [ask(asked, False)]
        apart = [
            n
            for n, (_, name, _, value) in enumerate(wanted)
            if not _is(answers[0], n, value) and name not in unsteady
        ]
        if not apart:
            return
        answers += [ask(asked, True) for _ in range(_AGAIN)]
        for n in apart:
            _, name, told, value = wanted[n]
            if any(_is(answer, n, value) for answer in answers) or not all(
                same(answers[0][f"a{n}"], answer[f"a{n}"]) for answer in answers
            ):
                yield name
                continue
            kind, plain = self._schema.field(name).type, answers[0][f"a{n}"]
            rows = ask_again({name: [plain]}, 1) if is_counted(kind) and not told.endswith("values") else []
            key, time = self._named(rows[0] if rows else {})
            raise Misjudged(
                self._where,
                row=None,
                key=key,
                time=time,
                column=name,
                found=_told(value, kind),
                plain=_told(plain, kind),
                found_is=f"{told} of all sourced rows is",
                plain_is="the warehouse's own answer in plain values is",
            )

    def _whole(self) -> list[tuple[str, str, str, object]]:
        """What is queried over all rows: an SQL expression, its column, what it
        means, and the snapshot's value."""
        found: list[tuple[str, str, str, object]] = []
        extremes = self._choice.extremes()
        for field in self._schema:
            column = f"source.{quoted(field.name)}"
            found.append((f"count({column})", field.name, "the number of values", self._present[field.name]))
            if is_counted(field.type) and field.name in extremes:
                for function, told, count in zip(
                    ("min", "max"), ("the least", "the greatest"), extremes[field.name], strict=True
                ):
                    value = decimal_of(count, field.type.scale) if pa.types.is_decimal(field.type) else count
                    found.append((f"{function}({column})", field.name, told, value))
        return found

    def _locators(self) -> list[str]:
        """The columns by which rows are requested: event time and key if the query has
        them; otherwise a few others."""
        usable = [field.name for field in self._schema if _locates(field.type)]
        named = [name for name in (self._event_time, self._key) if name in usable]
        return named or usable[:3]

    def _can_be_found(self, row: Row, names: Sequence[str]) -> bool:
        return bool(names) and all(
            parameter_of(row.get(name), self._schema.field(name).type) is not None for name in names
        )

    def _answer(self, ask: Ask, places: Places, rows: int) -> list[Row]:
        most = _ROWS_EACH * rows + _FEW
        found = ask(places, most)
        if len(found) > most:
            raise NotJudged("too many rows have the same event time and key")
        return [{name: _kept(value) for name, value in row.items()} for row in found]

    def _differing(
        self, number: int, row: Row, names: Sequence[str], answers: list[list[Row]], ask: Ask
    ) -> list[str]:
        """The columns for which the query gives a different answer each time; raises Misjudged
        if it always gives the same."""
        groups = [_of_place(answer, row, names) for answer in answers]
        if any(_find(row, group) is not None for group in groups[1:]):
            return _columns_apart(row, groups[0])
        if not any(groups):
            groups = self._elsewhere(row, names, ask)
        if not groups or not all(_equal(groups[0], group) for group in groups[1:]):
            return _columns_apart(row, groups[0] if groups else []) or list(names)
        nearest = min(groups[0], key=lambda one: len(_apart(row, one)))
        apart = _apart(row, nearest)
        if all(_nearly(row[name], nearest[name]) for name in apart):
            return apart
        name = next(name for name in apart if not _nearly(row[name], nearest[name]))
        path, found, wanted = first_difference(row[name], nearest[name], name)
        key, time = self._named(row)
        raise Misjudged(
            self._where,
            row=number,
            key=key,
            time=time,
            column=path,
            found=found,
            plain=wanted,
            found_is="the sourced row holds",
            plain_is="the warehouse's own answer in plain values is",
        )

    def _elsewhere(self, row: Row, names: Sequence[str], ask: Ask) -> list[list[Row]]:
        """Several answers for the case that no row has all of these values: a locating value may itself be
        wrong, so one is left out at a time."""
        for left_out in names:
            others = {name: [row[name]] for name in names if name != left_out}
            if not others:
                continue
            answers = [self._answer(ask, others, _FEW) for _ in range(_AGAIN)]
            if all(answers):
                return answers
        return []


def _told(value: object, kind: pa.DataType) -> object:
    return shown_time(value, kind) if pa.types.is_timestamp(kind) else value


def _is(answer: Row, n: int, value: object) -> bool:
    plain = answer[f"a{n}"]
    # PostgreSQL's min and max of decimals have no declared precision, and arrive as text.
    return agree(value, Decimal(plain) if isinstance(value, Decimal) and isinstance(plain, str) else plain)


def _locates(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_string(kind)
        or types.is_date32(kind)
        or (types.is_timestamp(kind) and kind.unit != "ns")
    )


def _places(sample: Sequence[tuple[int, Row]], names: Sequence[str]) -> Places:
    return {name: list(dict.fromkeys(row[name] for _, row in sample)) for name in names}


def _lacking(
    sample: Sequence[tuple[int, Row]], answer: Sequence[Row], names: Sequence[str]
) -> list[tuple[int, Row]]:
    """The chosen rows that have no matching row of their own in the answer."""
    by_place: dict[tuple[object, ...], list[Row]] = {}
    for row in answer:
        by_place.setdefault(tuple(row[name] for name in names), []).append(row)
    lacking = []
    for number, row in sample:
        group = by_place.get(tuple(row[name] for name in names), [])
        at = _find(row, group)
        if at is None:
            lacking.append((number, row))
        else:
            group.pop(at)
    return lacking


def _of_place(answer: Sequence[Row], row: Row, names: Sequence[str]) -> list[Row]:
    return [one for one in answer if all(one[name] == row[name] for name in names)]


def _find(row: Row, group: Sequence[Row]) -> int | None:
    return next((at for at, one in enumerate(group) if not _apart(row, one)), None)


def _apart(row: Row, plain: Mapping[str, object]) -> list[str]:
    return [name for name, value in row.items() if not agree(value, plain[name])]


def _columns_apart(row: Row, group: Sequence[Row]) -> list[str]:
    return min((_apart(row, one) for one in group), key=len, default=[])


def _equal(one: Sequence[Row], other: Sequence[Row]) -> bool:
    rest = list(other)
    for row in one:
        at = _find(row, rest)
        if at is None:
            return False
        rest.pop(at)
    return not rest


def agree(value: object, plain: object) -> bool:
    """Whether a value of the snapshot equals a plain value, as far as the plain value is known."""
    if isinstance(plain, Unknown) or isinstance(value, Unknown):
        return True
    if isinstance(value, dict) and isinstance(plain, dict):
        return value.keys() == plain.keys() and all(agree(one, plain[name]) for name, one in value.items())
    if isinstance(value, (list, tuple)) and isinstance(plain, (list, tuple)):
        return len(value) == len(plain) and all(map(agree, value, plain))
    return same(value, plain)


def _nearly(value: object, plain: object) -> bool:
    return (
        isinstance(value, float) and isinstance(plain, float) and math.isclose(value, plain, rel_tol=_NEARLY)
    )


@dataclass(frozen=True)
class Long:
    """What is kept of a long value."""

    length: int
    sha256: str

    def __str__(self) -> str:
        return f"a value of {self.length:,} characters or items with the digest {self.sha256[:12]}"


def _kept(value: object) -> object:
    """The value; for a long one its digest, so that the sample does not grow with the size of values."""
    if isinstance(value, (str, bytes)) and len(value) > _LONG:
        raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        return Long(len(value), hashlib.sha256(raw).hexdigest())
    if isinstance(value, (list, tuple)):
        if len(value) > _LONG:
            if any(isinstance(one, Unknown) for one in _leaves(value)):
                return UNKNOWN
            return Long(len(value), hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest())
        return type(value)(_kept(one) for one in value)
    if isinstance(value, dict):
        return {name: _kept(one) for name, one in value.items()}
    return value


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _leaves(one)
    else:
        yield value
