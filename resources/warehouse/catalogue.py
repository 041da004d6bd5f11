"""What a warehouse declares about a table."""

from dataclasses import dataclass

import pyarrow as pa

from resources.warehouse.names import qualified


@dataclass(frozen=True)
class Column:
    """A column of a table, with the Arrow type in which its rows arrive.

    If queries with the column are refused because of its type, the Arrow type is an opaque one with the
    warehouse's name of the type, and `instead` is the SQL to write in the query instead of the column.
    `comment` is the warehouse's comment on it; `labels` are the labels of an enum, in its order; `own_type`
    is the warehouse's own name of its type.
    """

    name: str
    arrow_type: pa.DataType
    nullable: bool
    instead: str | None = None
    comment: str | None = None
    labels: tuple[str, ...] = ()
    own_type: str = ""


@dataclass(frozen=True)
class ForeignKey:
    """Columns that refer to a row of `table` (its name in SQL) by its columns
    `referred`, in the same order."""

    columns: tuple[str, ...]
    table: str
    referred: tuple[str, ...]


@dataclass(frozen=True)
class SourceTable:
    """A table or view, and what the warehouse declares about it.

    `parts` are its schema (left out if no schema is needed) and its name, as the warehouse writes
    them. `unique` are the columns of each unique constraint or index over all rows, without the
    primary key. `partitioned_by` are the columns or expressions that decide in which partition a row
    is stored. What is not declared is empty.
    """

    parts: tuple[str, ...]
    columns: tuple[Column, ...]
    kind: str = "table"
    comment: str | None = None
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    partitioned_by: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """Its name as SQL writes it."""
        return qualified(self.parts)
