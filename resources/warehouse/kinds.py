"""The kinds of warehouses; the scheme of a URL chooses the kind. A new kind is one entry here, or an entry
point of another package (docs/warehouses.md#a-new-warehouse)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

from resources.warehouse.protocol import Warehouse

ENTRY_POINTS = "sluice.warehouses"
"""The entry point group in which other packages register warehouses: the name is the
scheme, the value opens it."""


@dataclass(frozen=True)
class Address:
    """A warehouse of the settings. `memory_limit` limits an engine inside this process; a database
    server has its own settings."""

    name: str
    url: str = field(repr=False)  # it may contain a password
    memory_limit: str = "128MB"

    @property
    def rest(self) -> str:
        """The URL without its scheme."""
        return self.url.partition("://")[2]


Opener = Callable[[Address], Warehouse]


@dataclass(frozen=True)
class Kind:
    """A kind of warehouse: the schemes of its URLs, an example URL, the function that opens it, and the
    packages of its driver. The driver is imported when a warehouse of this kind is opened."""

    schemes: tuple[str, ...]
    example: str
    open: Opener
    packages: tuple[str, ...] = ()


def _duckdb(address: Address) -> Warehouse:
    from resources.warehouse.duckdb.warehouse import DuckDBWarehouse

    return DuckDBWarehouse(address.rest, memory_limit=address.memory_limit)


def _postgresql(address: Address) -> Warehouse:
    from resources.warehouse.postgresql import PostgreSQLWarehouse

    return PostgreSQLWarehouse(address.url, name=address.name)


KINDS = (
    Kind(("duckdb",), "duckdb:///path/to/file.duckdb", _duckdb, ("duckdb",)),
    Kind(
        ("postgresql", "postgres"),
        "postgresql://user@host/database",
        _postgresql,
        ("adbc-driver-postgresql",),
    ),
)


def kind_of(scheme: str) -> Kind | None:
    """The kind whose URLs begin with `scheme`; None if there is none. Other packages are searched last: they
    cannot replace a kind of Sluice, and they are not imported for a kind of Sluice."""
    for kind in KINDS:
        if scheme in kind.schemes:
            return kind
    return next((_of_package(point) for point in _of_packages() if point.name == scheme), None)


def examples() -> list[str]:
    """An example URL of each kind."""
    return [*(kind.example for kind in KINDS), *(f"{point.name}://…" for point in _of_packages())]


def _of_packages() -> Iterator[EntryPoint]:
    own = {scheme for kind in KINDS for scheme in kind.schemes}
    return (point for point in entry_points(group=ENTRY_POINTS) if point.name not in own)


def _of_package(point: EntryPoint) -> Kind:
    def open_it(address: Address) -> Warehouse:
        opener: Opener = point.load()
        return opener(address)

    return Kind((point.name,), f"{point.name}://…", open_it)
