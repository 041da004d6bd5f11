"""What Sluice asks of a warehouse. One class per kind of warehouse implements `Warehouse`; `kinds.py` finds it by its URL.

Who raises what, and who catches it:

| Error | Raised when | Caught by |
|---|---|---|
| `WarehouseError` | the warehouse refuses: a missing table, a wrong column, a type that is not read exactly, a right | the step that asked; the window fails with the error, and is not tried again by itself |
| `TookTooLong`, a `WarehouseError` | the time of `within` is over | whoever gave the time: it goes on without the answer |
| `QueryCancelled`, a `WarehouseError` | `cancel` was called, or somebody ended the query at the server | whoever called `cancel` |
| `OutOfOrder`, a `WarehouseError` | the rows have to be read once more, in another way | `pipelines/stages/source.py` reads the window again |
| `TransientError` | the same call may succeed later: a lost connection, a lock | the run retries the window |

No error shows a value of a row or a secret of the URL. The suite in `tests/resources/warehouse/conformance` holds each kind
of warehouse to this page.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol

import pyarrow as pa

from resources.warehouse.catalogue import Column, SourceTable
from resources.warehouse.statistics import QueryCost, TableStatistics

ParameterStyle = Literal["duckdb", "numeric", "qmark", "named", "pyformat"]
"""How a driver wants named parameters written: `$name`, `$1`, `?`, `:name`, `%(name)s` (with every other `%` doubled)."""


class Warehouse(Protocol):
    """One warehouse. Its methods may be called from any thread of one process, one call at a time; `cancel` is the only
    one that may be called while another call runs.

    An instance opens connections when it first needs them. It only reads: a statement that writes raises WarehouseError.

    `sql` is one SELECT in the warehouse's own dialect, its parameters written in `parameter_style`. `parameters` are the
    bounds of a window: instants with a zone. The driver binds them, so that they never become text that a query could be
    changed by. A session's zone is UTC, so that a bound may be compared with a timestamp without a zone.
    """

    @property
    def dialect(self) -> str:
        """sqlglot's name of its SQL."""
        ...

    @property
    def parameter_style(self) -> ParameterStyle:
        """How its driver wants named parameters written."""
        ...

    @property
    def holds_off_writers(self) -> bool:
        """Whether nobody can write while it is open. If so, the caller closes it as soon as it has its rows."""
        ...

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        """The Arrow schema of the query's rows; reads none of them. Raises WarehouseError with the cast to write for a column
        whose values Arrow would not hold exactly; `stream` raises the same."""
        ...

    def types(self, sql: str, parameters: Mapping[str, datetime]) -> Mapping[str, str]:
        """The warehouse's own name of each column's type, in the order of the columns; reads no row. Columns of types that
        `describe` refuses have one too."""
        ...

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """The rows of the query, each once, in batches of at most `batch_rows`, with the schema of `describe`.

        They are of one moment of the database, and in one total order whatever the table's own order, collation or zone is:
        by `order_by`, then by every other column from left to right, ascending, nulls last, text by its UTF-8 bytes. Memory
        does not grow with the number of rows. Two streams may be open at once. A stream that is left early ends its query and
        gives everything back. Raises WarehouseError at the start or between two batches, also where a value cannot be read.
        """
        ...

    def plain_rows(
        self,
        sql: str,
        parameters: Mapping[str, datetime],
        places: Mapping[str, Sequence[object]],
        *,
        most_rows: int,
        in_full: bool = False,
    ) -> list[dict[str, object]]:
        """Rows of the query that have one of the values of `places` in each of its columns, `most_rows` and one more at
        most, for the independent judge: read without Arrow, so that a value that Arrow alters is noticed. `places` and the
        values returned are plain values (plain_values.py); a value that the driver may have altered is `UNKNOWN`.

        Called while a `stream` of the query is open whose rows were all taken, it answers from the same moment of the
        database. A call that fails leaves that stream as it was. `in_full` has the query computed as a whole before rows
        are chosen, as the stream does.
        """
        ...

    def tables(self) -> list[str]:
        """The tables and views that can be read, qualified if not in the schema that needs no name."""
        ...

    def table(self, name: str) -> SourceTable:
        """The table of this name: as SQL writes it, or as `tables` gives it, or that in another case if there is no other.
        Reads no row. A column of a type that `describe` refuses comes with an opaque Arrow type and what to write instead.
        Raises WarehouseError naming near misses, or the tables that may be meant."""
        ...

    def columns(self, table: str) -> list[Column]:
        """The columns of a table in their order; raises as `table` does."""
        ...

    def statistics(self, table: str, *, most_rows: int) -> TableStatistics:
        """What is known of the rows of a table, for drafting. It costs no more than reading `most_rows` rows: it comes from the
        catalogue, or from a sample. What would cost more is None. Its smallest and largest values are values of rows: whoever
        shows them masks personal data. Raises as `table` does, and TookTooLong."""
        ...

    def cost(self, sql: str, parameters: Mapping[str, datetime]) -> QueryCost:
        """What the query would cost, by the warehouse's own estimate; runs nothing. What it cannot estimate is None."""
        ...

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Queries that run inside are cancelled by the warehouse once `seconds` have passed since it was entered; they raise
        TookTooLong. Of two such blocks, one inside the other, the earlier end counts."""
        ...

    def cancel(self) -> None:
        """End every query that runs now; from any thread. The call that waits for it raises QueryCancelled. Nothing else is
        changed: the next query runs, and without a running query nothing happens."""
        ...

    def close(self) -> None:
        """Give back connections and files; what is asked afterwards opens them again."""
        ...
