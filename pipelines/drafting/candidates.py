"""Which columns of a table become the event time and the key of a drafted event, and why.

What the warehouse declares has priority, then whole words of names and comments, then types. If that does not
decide, a column is taken all the same, so that there is a draft, and the draft contains the open question.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from pipelines.drafting.avro_types import avro_of
from pipelines.drafting.words import (
    IDS,
    KEYS,
    NUMBERS,
    called_a_key,
    looks_personal,
    names_own_id,
    row_words,
    words,
)
from resources.errors import SluiceError, did_you_mean
from resources.warehouse import Column, SourceTable, sql_name
from resources.wording import counted

_KEY_TYPES = ("string", "int", "long", "bytes")
_MOST_NAMED = 5

# Words for when a row was written into the warehouse, not for when anything happened.
_LOADING = frozenset(
    """
    load loaded loading ingest ingested ingestion extract extracted etl elt sync synced batch dwh dw import imported
    airbyte fivetran stitch
    """.split()  # noqa: SIM905 - a page of quoted words reads worse
)
# Words for a time in the future, an end, or a time long before the event.
_OTHER_TIMES = frozenset(
    """
    due until expire expires expired expiry expiration deleted birth birthday birthdate dob end planned scheduled expected
    estimated deadline valid
    """.split()  # noqa: SIM905
)
_HAPPENED = frozenset({"event", "occurred", "occurrence", "happened"})
_CHANGED = frozenset({"updated", "modified", "changed", "update", "modification"})
_NO_VERB = frozenset({"at", "on", "time", "date", "ts", "timestamp", "datetime", "utc"})


class Choice(NamedTuple):
    """A column, and why it was chosen. `question`: what a person must decide; None if nothing is open."""

    column: Column
    why: str
    question: str | None = None


def choose_event_time(table: SourceTable, wanted: str | None, event: str = "") -> Choice:
    """The column that says when `event` happened. Raises SluiceError if there is none."""
    times = [
        c for c in table.columns if pa.types.is_timestamp(c.arrow_type) or pa.types.is_date(c.arrow_type)
    ]
    if wanted is not None:
        column = _named(table, wanted)
        if column not in times:
            raise SluiceError(
                f"column {table.sql}.{column.name}",
                f"is {column.arrow_type}, not a point in time",
                allowed=_listed(times) or "none: this table has no column with a time",
            )
        return Choice(column, "as you said")
    if not times:
        raise SluiceError(
            f"table {table.sql}",
            "has no column with a point in time, and an event happens at one",
            allowed=f"its columns are {_listed(table.columns)}",
            next_step="choose a table that says when, or write the event by hand with a join that brings the time in",
        )
    verbs = set(words(event)) - row_words(table.parts[-1]) - _NO_VERB
    ranks = [_Time(column, verbs) for column in times]
    first = min(ranks, key=lambda one: one.rank)
    why = first.why if len(times) > 1 else f"the only {first.kind} column"
    others = [one for one in ranks if one is not first]
    if passed := [
        f"{one.column.name} ({one.against})" for one in others if one.against and not first.against
    ]:
        why += f"; not {', '.join(passed[:_MOST_NAMED])}"
    equal = [one.column for one in others if one.rank == first.rank]
    question = None
    if equal:
        question = f"which time is the event's: {first.column.name} was taken; so might {_listed(equal)} be"
    elif first.against:
        question = f"is {first.column.name} the event's time? {first.against}; there is no better one"
    return Choice(first.column, why, question)


class _Time:
    def __init__(self, column: Column, verbs: set[str]) -> None:
        self.column = column
        found = set(words(column.name))
        said = set(words(column.comment or ""))
        date = pa.types.is_date(column.arrow_type)
        self.kind = "date" if date else "timestamp"
        self.said = sorted(found & verbs)
        self.against: str | None = None
        if not self.said:
            if found & _LOADING or column.name.startswith("_"):
                self.against = "it seems to be when the row was loaded"
            elif found & _OTHER_TIMES:
                self.against = f"the word {min(found & _OTHER_TIMES)!r} is of another time"
        zone = not date and column.arrow_type.tz is not None
        happened = bool((found | said) & _HAPPENED)
        changed = bool(found & _CHANGED)
        self.rank = (
            not self.said, self.against is not None, date, column.nullable, not zone, not happened, changed,
        )  # fmt: skip

    @property
    def why(self) -> str:
        if self.said:
            return f"its name says {self.said[0]!r}, as the event's does"
        parts = [f"a {self.kind}"]
        if pa.types.is_timestamp(self.column.arrow_type) and self.column.arrow_type.tz:
            parts.append("with a time zone")
        return " ".join(parts) + ("" if self.column.nullable else ", never null")


def choose_key(table: SourceTable, wanted: str | None, event_time: Column) -> Choice:
    """The column that says whom the event happened to: one field, because a message has one key. Raises
    SluiceError if no column can be a key."""
    usable = [c for c in table.columns if _can_be_key(c) and c.name != event_time.name]
    if wanted is not None:
        column = _named(table, wanted)
        if column not in usable:
            raise SluiceError(
                f"column {table.sql}.{column.name}",
                "is the event time"
                if column.name == event_time.name
                else f"is {column.arrow_type}, which cannot be a message key",
                allowed=_listed(usable) or "a text or whole number",
            )
        return Choice(column, "as you said")
    if not usable:
        raise SluiceError(
            f"table {table.sql}",
            "has no column that can be a message key",
            allowed="a text or whole number",
            next_step="cast one to text in a view, and draft the event from that",
        )
    return _Keys(table, usable, event_time).choice()


class _Keys:
    """The reasons for and against each column that can be a key."""

    def __init__(self, table: SourceTable, usable: Sequence[Column], event_time: Column) -> None:
        self._table, self._usable, self._event_time = table, usable, event_time
        self._by_name = {column.name: column for column in usable}
        self._refers = {name: f"refers to {key.table}" for key in table.foreign_keys for name in key.columns}
        self._personal = {
            column.name: why
            for column in table.columns
            if (why := looks_personal(column.name, column.comment, table.parts[-1]))
        }
        self._good = [c for c in usable if c.name not in self._refers and c.name not in self._personal]

    def choice(self) -> Choice:
        return (
            self._declared()
            or self._by_comment()
            or self._by_words()
            # A foreign key is also the key
            # if each row of the table belongs to exactly one row of the other table.
            or self._unique(set(self._refers) - set(self._personal))
            or self._any()
        )

    def _declared(self) -> Choice | None:
        if self._table.primary_key:
            return self._primary_key()
        return self._unique({column.name for column in self._good})

    def _unique(self, names: set[str]) -> Choice | None:
        """One of the columns with these names that is declared unique and never null."""
        not_null = {column.name for column in self._table.columns if not column.nullable}
        single = [
            self._by_name[key[0]]
            for key in map(self._without_time, self._table.unique)
            if len(key) == 1 and key[0] in not_null & names & set(self._by_name)
        ]
        if not single:
            return None
        first = min(single, key=self._rank)
        others = [one for one in dict.fromkeys(single) if one is not first]
        why = "declared unique and never null"
        why += f"; it {self._refers[first.name]}" if first.name in self._refers else ""
        if others and self._rank(first) == min(map(self._rank, others)):
            return self._ask(first, why, f"{_listed(others)} is declared unique too" if len(others) == 1 else
                             f"{_listed(others)} are declared unique too")  # fmt: skip
        return Choice(first, why + self._passed(first))

    def _by_comment(self) -> Choice | None:
        found = [(column, said) for column in self._good if (said := called_a_key(column.comment))]
        if not found:
            return None
        first, said = min(found, key=lambda one: self._rank(one[0]))
        why = f"its comment says {said!r}"
        if others := [column for column, _ in found if column is not first]:
            return self._ask(first, why, f"the comment of {_listed(others)} says the same")
        return Choice(first, why + self._passed(first))

    def _without_time(self, key: Sequence[str]) -> tuple[str, ...]:
        """The key's columns without the event time: a table with a history has the time in its keys, and a
        table that is partitioned by time must have it there."""
        return tuple(name for name in key if name != self._event_time.name)

    def _primary_key(self) -> Choice:
        key = self._table.primary_key
        whole = f"the primary key ({', '.join(key)})" if len(key) > 1 else "the primary key"
        about = self._without_time(key)
        column = self._by_name.get(about[0]) if len(about) == 1 else None
        if column is not None and column.name not in self._personal:
            return Choice(
                column, whole + ("" if len(key) == 1 else " without the event time") + self._passed(column)
            )
        instead = self._by_words() or self._any()
        if column is not None:
            return self._ask(
                instead.column, instead.why, f"{whole} is {column.name}, and {self._personal[column.name]}"
            )
        if len(about) > 1:
            parts = [self._by_name[name] for name in about if self._by_name.get(name) in self._good]
            chosen = min(parts, key=self._rank) if parts else instead.column
            joined = " || '|' || ".join(map(sql_name, about))
            return self._ask(
                chosen,
                f"part of {whole}" if parts else instead.why,
                f"{whole} has {counted(len(about), 'column')} besides the time, and a message key is one field: events of one key "
                f"keep their order. Take the column that says whom it happened to, or join them in the SQL ({joined})",
            )
        told = (
            f"{whole} is the event time"
            if not about
            else f"{whole}, {about[0]}, is of a type that cannot be a key: cast it to text in the SQL"
        )
        return self._ask(instead.column, instead.why, told)

    def _by_words(self) -> Choice | None:
        found = [column for column in self._good if self._rank(column)[0] < _NO_WORD]
        if not found:
            return None
        first = min(found, key=self._rank)
        rank = self._rank(first)[0]
        equal = [one for one in found if one is not first and self._rank(one)[0] == rank]
        word = words(first.name)[-1]
        if rank < _ANY_ID:
            return Choice(first, f"named as the id of a row of {self._table.sql}" + self._passed(first))
        why = f"its last word is {word!r}"
        if rank < _ANY_NUMBER and not equal:
            return Choice(first, why + self._passed(first))
        told = f"nothing declares a key; {first.name} was taken for its last word, {word!r}"
        return self._ask(first, why, told + (f", and so might {_listed(equal)} be" if equal else ""))

    def _any(self) -> Choice:
        candidates = self._good or self._usable
        first = min(
            candidates, key=lambda c: (c.nullable, bool(c.labels), avro_of(c.arrow_type, "") != "string")
        )
        told = "nothing declares a key, and no name says that it is one"
        if others := [column for column in candidates if column is not first]:
            told += f"; others that can be one are {_listed(others[:_MOST_NAMED])}"
        if not self._good:
            told += f", and every other column that can be one is no key by itself: {self._reasons()}"
        return self._ask(first, "the first column that can be a key: look at it closely", told)

    def _rank(self, column: Column) -> tuple[int, bool]:
        """A lower rank is a likelier key:
        first by the column's name alone, then by whether it is never null."""
        name, table = column.name, self._table.parts[-1]
        found = words(name)
        last = found[-1] if found else ""
        kinds = (
            len(found) == 1 and last in IDS,
            names_own_id(name, table, (*IDS, *KEYS)),
            names_own_id(name, table, NUMBERS),
            last in IDS,
            last in KEYS,
            last in NUMBERS,
        )
        return (kinds.index(True) if any(kinds) else _NO_WORD), column.nullable

    def _passed(self, chosen: Column) -> str:
        """The other columns that look like ids, and why they are not the key."""
        told = self._reasons(chosen)
        return f"; not {told}" if told else ""

    def _reasons(self, chosen: Column | None = None) -> str:
        against = {**self._refers, **self._personal}
        named = [
            f"{c.name} ({against[c.name]})" for c in self._usable if c.name in against and c is not chosen
        ]
        return ", ".join(named[:_MOST_NAMED])

    def _ask(self, column: Column, why: str, told: str) -> Choice:
        reasons = self._reasons(column)
        left = f". Not taken: {reasons}" if reasons and reasons not in told else ""
        return Choice(column, why, f"is {column.name} the key? {told}{left}")


# Indexes into `kinds` of `_Keys._rank`.
_ANY_ID, _ANY_NUMBER, _NO_WORD = 3, 5, 6


def _can_be_key(column: Column) -> bool:
    return column.instead is None and avro_of(column.arrow_type, "") in _KEY_TYPES


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns)


def _named(table: SourceTable, name: str) -> Column:
    """The column with this name:
    exactly, or as SQL quotes it, or in a different case if only one column matches."""
    plain = name[1:-1].replace('""', '"') if len(name) > 2 and name[0] == name[-1] == '"' else name
    for wanted in (name, plain):
        for column in table.columns:
            if column.name == wanted:
                return column
    meant = [column for column in table.columns if column.name.lower() == plain.lower()]
    if len(meant) == 1:
        return meant[0]
    names = [column.name for column in table.columns]
    problem = (
        f"{counted(len(meant), 'column')} may be meant by {name!r}" if meant else f"has no column {name!r}"
    )
    raise SluiceError(
        f"table {table.sql}",
        f"{problem}.{did_you_mean(plain, names)}",
        allowed=_listed(meant or table.columns),
    )
