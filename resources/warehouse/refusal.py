"""Columns of a type that a warehouse does not return exactly. They are refused before a row is read,
with the SQL to write instead."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from resources.warehouse.catalogue import Column
from resources.warehouse.errors import WarehouseError
from resources.warehouse.names import sql_name


@dataclass(frozen=True)
class RefusedType:
    """The column `name` has the type `told`, in the warehouse's own words. `instead` is the SQL expression to
    write instead of the column; `other` is another choice, with its purpose."""

    name: str
    told: str
    instead: str
    other: str | None = None

    @property
    def step(self) -> str:
        """What to write in the query."""
        other = f" (or {self.other})" if self.other else ""
        return f"{self.instead} AS {sql_name(self.name)}{other}"

    def as_column(self, *, nullable: bool, vendor: str) -> Column:
        """The column of a table, for code that lists columns and reads no rows."""
        return Column(self.name, pa.opaque(pa.binary(), self.told, vendor), nullable, self.step)


def refuse(where: str, refused: Sequence[RefusedType]) -> None:
    """Raises one WarehouseError for all refused columns; does nothing if there are none."""
    if not refused:
        return
    names = ", ".join(one.name for one in refused)
    told = " and ".join(dict.fromkeys(one.told for one in refused))
    raise WarehouseError(
        f"{where}, {'column' if len(refused) == 1 else 'columns'} {names}",
        f"values of the type {told} cannot be read exactly",
        next_step=f"write in the query: {'; '.join(one.step for one in refused)}",
    )
