"""DuckDB's types: what an event has of each is exact or a dead letter, or the type is refused in words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from resources.warehouse import Warehouse, WarehouseError
from tests.warehouse_types.cases import Case
from tests.warehouse_types.duckdb_cases import CASES
from tests.warehouse_types.through import IDENTITY, THROUGH_PANDAS, Asked, events, opened
from tests.warehouse_types.worlds import duckdb_world

_EXACT = [pytest.param(n, case, id=f"{n}-{case.type}") for n, case in enumerate(CASES) if not case.refused]
_REFUSED = [pytest.param(n, case, id=f"{n}-{case.type}") for n, case in enumerate(CASES) if case.refused]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return duckdb_world(tmp_path_factory.mktemp("types"), CASES)


@pytest.fixture(scope="module")
def warehouse(url: str) -> Iterator[Warehouse]:
    with opened(url) as found:
        yield found


Found = dict[int, list[Any] | Exception]


def _found(folder: Path, url: str, body: str) -> Found:
    """What comes of each case."""
    asked = [Asked(f"c{n}", case.avro, body) for n, case in enumerate(CASES) if not case.refused]
    came = events(folder, url, asked)
    return {int(one.name[1:]): values for one, values in zip(asked, came, strict=True)}


@pytest.fixture(scope="module")
def plain(url: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return _found(tmp_path_factory.mktemp("plain"), url, IDENTITY)


@pytest.fixture(scope="module")
def through_pandas(url: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return _found(tmp_path_factory.mktemp("pandas"), url, THROUGH_PANDAS)


@pytest.mark.parametrize(("number", "case"), _EXACT)
def test_every_value_is_exact_or_a_dead_letter(number: int, case: Case, plain: Found) -> None:
    assert plain[number] == [*case.events, None]


@pytest.mark.parametrize(("number", "case"), _EXACT)
def test_a_value_that_passes_through_a_transform_is_the_same(
    number: int, case: Case, through_pandas: Found
) -> None:
    assert through_pandas[number] == [*case.events, None]


@pytest.mark.parametrize(("number", "case"), _REFUSED)
def test_a_type_that_would_lose_meaning_is_refused_before_a_row_is_read(
    number: int, case: Case, warehouse: Warehouse
) -> None:
    query = f"SELECT id, x FROM c{number}"
    with pytest.raises(WarehouseError, match="cannot be read exactly") as caught:
        warehouse.describe(query, {})
    assert caught.value.where.endswith("column x")
    with (
        pytest.raises(WarehouseError) as again,
        warehouse.stream(query, {}, order_by=["id"], batch_rows=10) as batches,
    ):
        next(batches)
    assert str(again.value) == str(caught.value), case.type
    column = warehouse.columns(f"c{number}")[-1]
    assert column.instead is not None
    assert str(caught.value.next_step) == f"write in the query: {column.instead}"
    # And what it says to write can be read, all of it.
    for written in (column.instead.partition(" (or ")[0], *_others(column.instead)):
        written = written if " AS " in written else f"{written} AS x"
        with warehouse.stream(
            f"SELECT id, {written} FROM c{number}", {}, order_by=["id"], batch_rows=10
        ) as batches:
            values = [value for batch in batches for value in batch.column("x").to_pylist()]
        assert [value is None for value in values] == [*(False for _ in case.values), True]


def _others(instead: str) -> list[str]:
    """`x::VARCHAR` of "x::TIME AS x (or x::VARCHAR to keep the offset)"."""
    _, _, other = instead.partition(" (or ")
    return [other.partition(" to ")[0].partition(" for ")[0]] if other else []


def test_all_columns_of_such_types_are_named_at_once(warehouse: Warehouse) -> None:
    sql = "SELECT 1::UHUGEINT AS big, 1 AS n, [TIMETZ '12:00:00+02'] AS \"order\""
    with pytest.raises(WarehouseError) as caught:
        warehouse.describe(sql, {})
    assert caught.value.where.endswith(", columns big, order")
    assert caught.value.problem == (
        "values of the type UHUGEINT and TIME WITH TIME ZONE[] cannot be read exactly"
    )
    assert caught.value.next_step == ('write in the query: big::VARCHAR AS big; "order"::TIME[] AS "order"')


def test_a_type_that_is_known_by_an_extension_s_name_alone_is_refused() -> None:
    from resources.warehouse.duckdb_types import _is_exact, _is_nested

    class Named:
        """A type of an extension: the name is its own, the id that of what it is stored as."""

        def __init__(self, name: str, stored: str) -> None:
            self.name, self.id = name, stored

        def __str__(self) -> str:
            return self.name

    for stored in ("struct", "list", "map", "blob", "varchar", "hugeint"):
        kind: Any = Named("INET", stored)
        assert not _is_nested(kind) and not _is_exact(kind)


def test_every_type_of_the_catalogue_has_a_case() -> None:
    with duckdb.connect() as connection:
        types = {name for (name,) in connection.execute("SELECT logical_type FROM duckdb_types()").fetchall()}
    known = {name for case in CASES for name in (case.type.partition("(")[0], *case.covers)}
    assert types <= known, f"no case for {sorted(types - known)}"
