"""The garbage collector during a load:
it is paused, then it does not visit what stays, and later it works as before."""

import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from pipelines import Catalogue, CatalogueError
from pipelines.authoring.loading import garbage_collection as collection
from pipelines.authoring.sql.analysis import analyse
from pipelines.orchestration.definitions.assets import build_assets
from pipelines.orchestration.definitions.build import build_definitions
from tests.pipelines.authoring.conftest import Tree

BOUNDS = "departed_at >= :window_start AND departed_at < :window_end"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two events count as many; what a test kept is freed after it."""
    monkeypatch.setattr(collection, "MANY", 2)
    gc.collect()
    yield
    gc.enable()
    gc.unfreeze()


def _two_events(tree: Tree) -> None:
    tree.event("flights/flight_departed")
    # Its transform does something, so that its function is kept.
    landed = {"return rows": "return rows.head(1)"}
    tree.event("flights/flight_landed", topic="flights.flight-landed.v1", replace=landed)


def test_few_events_are_kept_from_nobody(tree: Tree) -> None:
    _two_events(tree)
    build_definitions(tree.load())
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("collector")
def test_what_many_events_came_to_is_kept_out_of_the_collectors_sight(tree: Tree) -> None:
    _two_events(tree)
    catalogue = tree.load()
    assert gc.get_freeze_count() > 0
    assert not _visited(catalogue)
    definitions = build_definitions(catalogue)
    assert not _visited(definitions)


def _visited(kept: object) -> bool:
    return any(seen is kept for seen in gc.get_objects())


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_afterwards_as_it_was(tree: Tree, enabled: bool) -> None:
    _two_events(tree)
    broken = tree.root / "flights/flight_landed.avsc"
    if not enabled:
        gc.disable()
    build_definitions(tree.load())
    assert gc.isenabled() == enabled
    broken.unlink()
    with pytest.raises(CatalogueError):
        tree.load()
    assert gc.isenabled() == enabled


def test_nothing_is_collected_while_events_are_loaded_or_built(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[bool] = []

    def noting(function: Callable[..., object]) -> Callable[..., object]:
        def noted(*args: object, **named: object) -> object:
            paused.append(not gc.isenabled())
            return function(*args, **named)

        return noted

    monkeypatch.setattr("pipelines.authoring.loading.resolution.analyse", noting(analyse))
    monkeypatch.setattr("pipelines.orchestration.definitions.build.build_assets", noting(build_assets))
    _two_events(tree)
    build_definitions(tree.load())
    assert paused == [True] * 4


@pytest.mark.usefixtures("collector")
def test_another_load_gives_back_what_the_one_before_it_kept(tree: Tree) -> None:
    _two_events(tree)
    before = weakref.ref(_function(tree.load()))
    assert before() is not None  # module and function refer to each other
    tree.load()
    assert before() is None


def _function(catalogue: Catalogue) -> Callable[..., object]:
    transform = catalogue.find("flight_landed").transform
    assert transform is not None
    return transform


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT flight_id, departed_at FROM flights WHERE {BOUNDS}",
        f"WITH late AS (SELECT * FROM flights WHERE delay > 5) SELECT DISTINCT * FROM late WHERE {BOUNDS} LIMIT 5",
    ],
)
def test_a_querys_tree_is_freed_without_the_collector(sql: str) -> None:
    analyse(sql)  # sqlglot makes some objects only once
    gc.collect()
    gc.disable()
    try:
        analyse(sql)
        assert gc.collect() == 0
    finally:
        gc.enable()
