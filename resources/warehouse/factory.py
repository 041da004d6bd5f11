"""Opens a warehouse by its name in the settings."""

from collections.abc import Mapping

from resources.errors import did_you_mean
from resources.settings import variable
from resources.warehouse.errors import WarehouseError
from resources.warehouse.kinds import Address, examples, kind_of
from resources.warehouse.protocol import Warehouse


def open_warehouse(name: str, warehouses: Mapping[str, str], *, memory_limit: str) -> Warehouse:
    """Open the warehouse `name` of the settings by its URL (`duckdb:///path/to/file.duckdb`,
    `postgresql://host/database`).

    `memory_limit` limits an engine inside this process; a database server has its own settings.
    """
    url = warehouses.get(name)
    if url is None:
        raise WarehouseError(
            f"warehouse {name!r}",
            f"is not in the settings.{did_you_mean(name, warehouses)}",
            allowed=", ".join(sorted(warehouses)),
            next_step=f"set {variable(f'warehouse.{name}')}, or {name} below [warehouse] in sluice.toml",
        )
    scheme, separator, _ = url.partition("://")
    kind = kind_of(scheme.lower()) if separator else None
    if kind is None:
        raise WarehouseError(
            f"warehouse {name!r}",
            f"no driver for {scheme}://" if separator else "its value is no URL",
            allowed=", ".join(examples()),
        )
    return kind.open(Address(name, url, memory_limit))
