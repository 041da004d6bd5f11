"""What Sluice asks of a warehouse: stream a query as Arrow, describe a query, describe a table.

Named parameters are bound by the driver, never formatted into the text. An implementation raises
`WarehouseError` for what the author can mend (a missing table, a wrong column) and `TransientError` for what
may pass by itself (a lost connection); the step that called it decides what to do with either.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import pyarrow as pa

from resources.errors import SluiceError
from resources.warehouse.names import qualified


class WarehouseError(SluiceError):
    """The warehouse refused a query or is not there."""


@dataclass(frozen=True)
class Column:
    """A column of a table, with the Arrow type its rows arrive in.

    Where queries with the column are refused for its type, the Arrow type is an opaque one with the warehouse's name of
    the type, and `instead` is what to write in the query in its place. `comment` is what the warehouse keeps of it;
    `labels` are those of an enum, in its order."""

    name: str
    arrow_type: pa.DataType
    nullable: bool
    instead: str | None = None
    comment: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForeignKey:
    """Columns that name a row of `table` (its name in SQL) by `referred`, in the same order."""

    columns: tuple[str, ...]
    table: str
    referred: tuple[str, ...]


@dataclass(frozen=True)
class SourceTable:
    """A table or view, and what the warehouse declares about it.

    `parts` are its schema, left out where none is needed, and its name, as the warehouse writes them. `unique` are the
    columns of each unique constraint or index over all rows, the primary key aside. Whatever is not declared is empty.
    """

    parts: tuple[str, ...]
    columns: tuple[Column, ...]
    kind: str = "table"
    comment: str | None = None
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()

    @property
    def sql(self) -> str:
        """Its name as SQL writes it."""
        return qualified(self.parts)


class Warehouse(Protocol):
    """One warehouse. Every method may be called from any thread of one process, one at a time."""

    dialect: str
    """sqlglot's name of its SQL."""

    @property
    def holds_off_writers(self) -> bool:
        """Whether nobody can write while it is open."""
        ...

    @property
    def parameter_style(self) -> Literal["duckdb", "numeric", "qmark", "named", "pyformat"]:
        """How its driver wants named parameters written."""
        ...

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        """Arrow schema of the query's rows, without reading them. Raises WarehouseError with the cast to write where a
        column has a type of which Arrow would lose a part; `stream` raises the same."""
        ...

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """Rows of the query ordered by `order_by`, then by every other column, in batches of at most
        `batch_rows`; memory does not grow with the number of rows."""
        ...

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Queries that run inside are cancelled once `seconds` have passed since it was entered; they raise
        `TookTooLong`, a WarehouseError."""
        ...

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[Any]],
        *,
        most_rows: int,
        in_full: bool = False,
    ) -> list[dict[str, Any]]:
        """Rows of the query that have one of the values of `places` in each of its columns, `most_rows` and one more at
        most, read without Arrow's values. Both are plain values (see plain_values.py).

        To be called while a `stream` of the query is open whose rows were all taken: it answers from the same snapshot.
        `in_full` has the query computed as a whole before rows are chosen, as the stream does.
        """
        ...

    def tables(self) -> list[str]:
        """Tables and views that can be read, qualified when not in the schema that needs no name."""
        ...

    def table(self, name: str) -> SourceTable:
        """The table of this name: as SQL writes it, or as `tables` gives it, or that in another case where there is no
        other. Raises WarehouseError naming near misses, or the tables that it may mean."""
        ...

    def columns(self, table: str) -> list[Column]:
        """Columns of a table in their order; raises as `table` does."""
        ...

    def close(self) -> None:
        """Give back connections and files; what is asked afterwards opens them again."""
        ...
