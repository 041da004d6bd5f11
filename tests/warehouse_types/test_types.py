"""The types of every warehouse:
an event has the exact value or the row is a dead letter, or the type is refused in words."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import duckdb
import pytest

from resources.warehouse import Warehouse, WarehouseError
from tests.documents import ROOT
from tests.fixtures_postgres import PostgresServer, query
from tests.warehouse_types import duckdb_cases, postgresql_cases
from tests.warehouse_types.cases import Case
from tests.warehouse_types.table import table
from tests.warehouse_types.through import IDENTITY, THROUGH_PANDAS, Asked, events, opened
from tests.warehouse_types.worlds import duckdb_world, postgresql_world

CASES = {"duckdb": duckdb_cases.CASES, "postgresql": postgresql_cases.CASES}
Found = dict[int, list[Any] | Exception]


def _cases(*, refused: bool) -> list[Any]:
    return [
        pytest.param(kind, number, case, id=f"{kind}-{number}-{case.type}")
        for kind, cases in CASES.items()
        for number, case in enumerate(cases)
        if case.refused is refused
    ]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The URL of a kind's warehouse with a view for each case."""

    @cache
    def made(kind: str) -> str:
        if kind == "duckdb":
            return duckdb_world(tmp_path_factory.mktemp("types"), CASES[kind])
        server: PostgresServer = request.getfixturevalue("postgres")
        return postgresql_world(server, postgresql_cases.SETUP, CASES[kind])

    return made


@pytest.fixture(scope="module")
def warehouse(url: Callable[[str], str]) -> Iterator[Callable[[str], Warehouse]]:
    """A kind's warehouse, opened, with a view for each case."""
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(opened(url(kind))))


@pytest.fixture(scope="module")
def found(url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Found]:
    """What each case of a kind becomes with a transform of this body."""

    @cache
    def made(kind: str, body: str) -> Found:
        asked = [Asked(f"c{n}", case.avro, body) for n, case in enumerate(CASES[kind]) if not case.refused]
        came = events(tmp_path_factory.mktemp("events"), url(kind), asked)
        return {int(one.name[1:]): values for one, values in zip(asked, came, strict=True)}

    return made


@pytest.mark.parametrize("body", [IDENTITY, THROUGH_PANDAS], ids=["plain", "pandas"])
@pytest.mark.parametrize(("kind", "number", "case"), _cases(refused=False))
def test_every_value_is_exact_or_a_dead_letter(
    kind: str, number: int, case: Case, body: str, found: Callable[[str, str], Found]
) -> None:
    assert found(kind, body)[number] == [*case.events, None]


@pytest.mark.parametrize(("kind", "number", "case"), _cases(refused=True))
def test_a_type_that_would_lose_meaning_is_refused_before_a_row_is_read(
    kind: str, number: int, case: Case, warehouse: Callable[[str], Warehouse]
) -> None:
    asked = warehouse(kind)
    sql = f"SELECT id, x FROM c{number}"
    with pytest.raises(WarehouseError, match="cannot be read exactly") as caught:
        asked.describe(sql, {})
    assert caught.value.where.endswith("column x")
    with (
        pytest.raises(WarehouseError) as again,
        asked.stream(sql, {}, order_by=["id"], batch_rows=10) as batches,
    ):
        next(batches)
    assert str(again.value) == str(caught.value), case.type
    column = asked.columns(f"c{number}")[-1]
    assert column.instead is not None
    assert str(caught.value.next_step) == f"write in the query: {column.instead}"
    # And what it says to write can be read, all of it.
    for written in (column.instead.partition(" (or ")[0], *_others(column.instead)):
        written = written if " AS " in written else f"{written} AS x"
        with asked.stream(
            f"SELECT id, {written} FROM c{number}", {}, order_by=["id"], batch_rows=10
        ) as batches:
            values = [value for batch in batches for value in batch.column("x").to_pylist()]
        assert [value is None for value in values] == [*(False for _ in case.values), True]


def _others(instead: str) -> list[str]:
    """`x::VARCHAR` of "x::TIME AS x (or x::VARCHAR to keep the offset)"."""
    _, _, other = instead.partition(" (or ")
    return [other.partition(" to ")[0].partition(" for ")[0]] if other else []


def test_all_columns_of_such_types_are_named_at_once(warehouse: Callable[[str], Warehouse]) -> None:
    sql = "SELECT 1::UHUGEINT AS big, 1 AS n, [TIMETZ '12:00:00+02'] AS \"order\""
    with pytest.raises(WarehouseError) as caught:
        warehouse("duckdb").describe(sql, {})
    assert caught.value.where.endswith(", columns big, order")
    assert caught.value.problem == (
        "values of the type UHUGEINT and TIME WITH TIME ZONE[] cannot be read exactly"
    )
    assert caught.value.next_step == ('write in the query: big::VARCHAR AS big; "order"::TIME[] AS "order"')


def test_a_type_that_is_known_by_an_extension_s_name_alone_is_refused() -> None:
    from resources.warehouse.duckdb.types import _is_exact, _is_nested

    class Named:
        """A type of an extension: it has its own name, but the id of the type that it is stored as."""

        def __init__(self, name: str, stored: str) -> None:
            self.name, self.id = name, stored

        def __str__(self) -> str:
            return self.name

    for stored in ("struct", "list", "map", "blob", "varchar", "hugeint"):
        kind: Any = Named("INET", stored)
        assert not _is_nested(kind) and not _is_exact(kind)


def test_every_type_of_the_catalogues_has_a_case(url: Callable[[str], str]) -> None:
    with duckdb.connect() as connection:
        types = {name for (name,) in connection.execute("SELECT logical_type FROM duckdb_types()").fetchall()}
    known = {kind: {*_named(cases)} for kind, cases in CASES.items()}
    assert types <= known["duckdb"], f"no case for {sorted(types - known['duckdb'])}"
    rows = query(
        url("postgresql"),
        "SELECT typname::text AS name FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace"
        " AND typtype IN ('b', 'r', 'm') AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = pg_type.oid)",
    )
    types = {str(row["name"]) for row in rows} - {*postgresql_cases.INTERNAL}
    assert types <= known["postgresql"], f"no case for {sorted(types - known['postgresql'])}"


def _named(cases: tuple[Case, ...]) -> Iterator[str]:
    for case in cases:
        yield from (case.type.partition("(")[0], *case.covers)


@pytest.mark.parametrize("name", postgresql_cases.INTERNAL)
def test_columns_of_a_catalogue_are_refused_too(name: str, url: Callable[[str], str]) -> None:
    with opened(url("postgresql")) as asked, pytest.raises(WarehouseError, match=f"type {name} cannot"):
        asked.describe(f"SELECT NULL::{name} AS x", {})


@pytest.mark.parametrize(("kind", "title"), [("duckdb", "DuckDB"), ("postgresql", "PostgreSQL")])
def test_the_documentation_says_the_same(
    kind: str, title: str, warehouse: Callable[[str], Warehouse]
) -> None:
    """`python -m tests.warehouse_types` prints the tables."""
    made = table(title, warehouse(kind), CASES[kind])
    assert made in (ROOT / "docs" / "warehouses.md").read_text()
