"""What Sluice needs from a warehouse. Each kind of warehouse has a class that implements `Warehouse`;
`kinds.py` finds it by its URL.

Who raises what, and who catches it:

| Error | Raised when | Caught by |
|---|---|---|
| `WarehouseError` | the warehouse refuses: a missing table, a wrong column, a type that is not read exactly, a right | the step that sent the request; the window fails with the error, and there is no automatic retry |
| `TookTooLong`, a `WarehouseError` | the time of `within` is over | whoever set the time; it continues without the answer |
| `QueryCancelled`, a `WarehouseError` | `cancel` was called, or somebody ended the query on the server | whoever called `cancel` |
| `OutOfOrder`, a `WarehouseError` | the rows must be read again, in another way | `pipelines/stages/source.py` reads the window again |
| `TransientError` | the same call may succeed later: a lost connection, a lock | the run retries the window |

No error shows a value of a row or a secret of the URL. The tests in `tests/resources/warehouse/conformance`
check each kind of warehouse against this page.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol

import pyarrow as pa

from resources.warehouse.catalogue import Column, SourceTable
from resources.warehouse.statistics import QueryCost, TableStatistics

ParameterStyle = Literal["duckdb", "numeric", "qmark", "named", "pyformat"]
"""How a driver requires named parameters: `$name`, `$1`, `?`, `:name`, `%(name)s` (then
every other `%` is doubled)."""


class Warehouse(Protocol):
    """One warehouse. Its methods may be called from any thread of one process, one call at a time. Only
    `cancel` may be called while another call runs.

    An instance opens connections when it first needs them. It only reads: a statement
    that writes raises WarehouseError.

    `sql` is one SELECT in the warehouse's own dialect, with parameters in the form of `parameter_style`.
    `parameters` are the bounds of a window: instants with a time zone. The driver binds them; they never
    become text that could change the query. The session's time zone is UTC, so that a bound can be compared
    with a timestamp without a time zone.
    """

    @property
    def dialect(self) -> str:
        """sqlglot's name of its SQL dialect."""
        ...

    @property
    def parameter_style(self) -> ParameterStyle:
        """How its driver requires named parameters."""
        ...

    @property
    def holds_off_writers(self) -> bool:
        """Whether nobody can write while it is open. If so, the caller closes it
        as soon as it has its rows."""
        ...

    def describe(self, sql: str, parameters: Mapping[str, datetime]) -> pa.Schema:
        """The Arrow schema of the query's rows; reads no row.

        Raises WarehouseError for a column whose values Arrow would not hold exactly, with the cast to write;
        `stream` raises the same error.
        """
        ...

    def types(self, sql: str, parameters: Mapping[str, datetime]) -> Mapping[str, str]:
        """The warehouse's own name of each column's type, in the order of the columns; reads no row. Columns
        that `describe` refuses are included."""
        ...

    def stream(
        self, sql: str, parameters: Mapping[str, datetime], *, order_by: Sequence[str], batch_rows: int
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """The rows of the query, each once, in batches of at most `batch_rows` rows,
        with the schema of `describe`.

        All rows come from one moment of the database. Their order is total and does not depend on the table's
        own order, collation or time zone: by `order_by`, then by every other column from left to right,
        ascending, nulls last, text by its UTF-8 bytes. Memory does not grow with the number of rows. Two
        streams may be open at the same time. A stream that is not read to its end stops its query and frees
        everything. Raises WarehouseError at the start or between two batches, also if a value cannot be read.
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
        """Rows of the query that have, in each column of `places`, one of the values listed
        there; at most `most_rows` + 1 rows.

        This is for the independent judge. The rows are read without Arrow, so that a value that Arrow changes
        is noticed. `places` and the returned values are plain values (plain_values.py). A value that the
        driver may have changed is `UNKNOWN`.

        If a `stream` of the query is open and all its rows were taken, the rows come from the same moment of
        the database. A call that fails does not change that stream. With `in_full` the warehouse computes the
        whole query before it selects rows, as the stream does.
        """
        ...

    def tables(self) -> list[str]:
        """The tables and views that can be read, with their schema unless queries may omit it."""
        ...

    def table(self, name: str) -> SourceTable:
        """The table with this name: as SQL writes it, or as `tables` returns it; in another case
        if no other table has the name.

        Reads no row. A column of a type that `describe` refuses has an opaque Arrow type and the SQL to write
        instead. Raises WarehouseError with similar names, or with the tables that the name may mean.
        """
        ...

    def columns(self, table: str) -> list[Column]:
        """The columns of a table in their order; raises as `table` does."""
        ...

    def statistics(self, table: str, *, most_rows: int) -> TableStatistics:
        """What is known about the rows of a table, for drafting an event.

        It costs at most as much as reading `most_rows` rows: it comes from the catalogue, or from a sample.
        What would cost more is None. The smallest and largest values are values of rows: a caller that shows
        them must mask personal data. Raises as `table` does, and TookTooLong.
        """
        ...

    def cost(self, sql: str, parameters: Mapping[str, datetime]) -> QueryCost:
        """The cost of the query by the warehouse's own estimate; the query is not run. What
        it cannot estimate is None."""
        ...

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """The warehouse cancels queries inside the block when `seconds` have passed since the block began;
        they raise TookTooLong. If one block is inside another one, the earlier end counts."""
        ...

    def cancel(self) -> None:
        """End every query that runs now; from any thread. The call that waits for the query
        raises QueryCancelled. Nothing else changes: the next query runs normally, and if no
        query runs, nothing happens."""
        ...

    def close(self) -> None:
        """Free connections and files; a later call opens them again."""
        ...
