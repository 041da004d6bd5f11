"""One declaration never keeps the other events from loading, running and keeping their schedules."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines import CatalogueError
from pipelines.orchestration import build
from pipelines.orchestration.broken import LOADS, broken_parts, told
from pipelines.orchestration.build import build_definitions, build_location
from pipelines.orchestration.keys import asset_key, legal_name, legal_tag, op_name, table_key
from tests.pipelines.authoring.conftest import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "assets").mkdir()
    return Tree(tmp_path / "assets")


def located(tree: Tree) -> dg.Definitions:
    try:
        return build_location(tree.load(), {})
    except CatalogueError as error:
        broken = {name: told(problems) for name, problems in broken_parts(error).items()}
        return build_location(error.healthy, broken)


def names(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.get_repository_def().asset_graph.get_all_asset_keys()}


MISTAKES = {
    "syntax": {"return rows": "return rows ("},
    "import": {"import pandas as pd": "import pandas as pd\nimport no_such_package"},
    "exit": {"import pandas as pd": "import pandas as pd\nraise SystemExit(3)"},
    "interrupt": {"import pandas as pd": "import pandas as pd\nraise KeyboardInterrupt"},
    "raises": {"import pandas as pd": "import pandas as pd\n1 / 0"},
    "argument": {'owner="team:operations"': 'owner="nobody"'},
    "window": {'daily("2013-01-01")': 'daily("2013-13-01")'},
    "query": {"FROM flights": "FROM"},
    "too deep for the parser": {"return rows": "return " + "-" * 20_000 + "1"},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_module_that_does_not_load_is_an_asset_in_error_and_the_others_stand(
    tree: Tree, mistake: str
) -> None:
    tree.event("flights/flight_landed", topic="flights.flight-landed.v1")
    tree.event("flights/flight_departed", replace=MISTAKES[mistake])
    tree.event("weather/rain", topic="weather.rain.v1", replace={"daily(": "hourly("})
    definitions = located(tree)
    stages = ("sourced", "transformed", "published")
    assert names(definitions) >= {f"flights/flight_departed/{stage}" for stage in stages}
    assert names(definitions) >= {f"flights/flight_landed/{stage}" for stage in stages}
    assert {schedule.name for schedule in definitions.get_repository_def().schedule_defs} == {
        "daily",
        "hourly",
    }
    spec = definitions.resolve_asset_graph().get(dg.AssetKey(["flights", "flight_departed", "published"]))
    assert "assets/flights/flight_departed.py" in (spec.description or "")
    healthy = definitions.resolve_asset_graph().get(dg.AssetKey(["flights", "flight_landed", "published"]))
    assert isinstance(healthy.partitions_def, dg.TimeWindowPartitionsDefinition)


def test_a_users_own_interruption_still_ends_the_load(tree: Tree) -> None:
    tree.event(replace={"import pandas as pd": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)"})
    with pytest.raises(KeyboardInterrupt):
        tree.load()


def test_its_check_turns_red_with_the_message_once_and_a_run_of_it_says_the_same(tree: Tree) -> None:
    tree.event("flights/flight_departed", replace={'owner="team:operations"': 'owner="nobody"'})
    definitions = located(tree)
    repository = definitions.get_repository_def()
    (sensor,) = repository.sensor_defs
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    published = dg.AssetKey(["flights", "flight_departed", "published"])
    with dg.DagsterInstance.ephemeral() as instance:
        for _ in range(2):
            with dg.build_sensor_context(instance, definitions=definitions) as context:
                sensor.evaluate_tick(context)
        found = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(published, LOADS), limit=5
        )
        assert len(found) == 1
        assert found[0].event is not None and found[0].event.dagster_event is not None
        evaluation = found[0].event.dagster_event.asset_check_evaluation_data
        assert not evaluation.passed
        assert "owner='nobody' is neither a team nor a person" in (evaluation.description or "")
        job = definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        assert failure.step_failure_data.user_failure_data is not None
        assert "owner='nobody'" in (failure.step_failure_data.user_failure_data.description or "")


def test_a_file_that_belongs_to_no_event_is_shown_too(tree: Tree) -> None:
    tree.event()
    tree.write("flights/flight_parted.avsc", "{}")
    tree.write("flights/deep/er.py", "")
    assert names(located(tree)) >= {
        f"files/assets/flights/{legal_name('flight_parted.avsc')}",
        f"files/assets/flights/deep/{legal_name('er.py')}",
        "flights/flight_departed/published",
    }


def test_everything_loads_and_nothing_is_added(tree: Tree) -> None:
    tree.event()
    definitions = located(tree)
    assert names(definitions) == names(build_definitions(tree.load()))
    assert not definitions.get_repository_def().sensor_defs


@pytest.mark.parametrize("refused", [["a"], ["c"], ["g"], ["a", "d", "g"], list("abcdefg")])
def test_an_event_that_dagster_refuses_is_in_error_alone(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, refused: list[str]
) -> None:
    for name in "abcdefg":
        tree.event(f"letters/{name}", topic=f"letters.{name}.v1")
    real = build.build_assets

    def refusing(event: Any) -> dg.AssetsDefinition:
        if event.name in refused:
            raise dg.DagsterInvalidDefinitionError(f"a bad name: {event.name}")
        return real(event)

    monkeypatch.setattr(build, "build_assets", refusing)
    graph = located(tree).resolve_asset_graph()
    in_error = {node.key.path[1]: node.description for node in graph.asset_nodes if "error" in node.kinds}
    assert sorted(in_error) == refused
    assert all(f"Dagster refuses the event: a bad name: {name}" in in_error[name] for name in refused)


TABLES = [
    '"Order Details"', "größe", '"My Shop".orders', '"e A/t"', "'/data/x.parquet'", '"order-items"', "x.y",
    '"a%b"', '"a""b"', '"a$b"', '"a*b"', '"' + "x" * 300 + '"', '"int"', "orders.published",
]  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_any_name_is_an_asset(tree: Tree, table: str) -> None:
    tree.event("warehouse/orders", replace={"FROM flights": f"FROM {table}"})
    definitions = build_definitions(tree.load())
    upstream = definitions.resolve_asset_graph().get(dg.AssetKey(["warehouse", "orders", "sourced"]))
    (key,) = upstream.parent_keys
    assert key in definitions.resolve_asset_graph().external_asset_keys
    definitions.get_repository_def().get_all_jobs()


def test_names_that_dagster_takes_stay_as_they_are_and_no_two_become_one() -> None:
    assert table_key("default", "shop.order-items") == dg.AssetKey(["warehouse", "shop", "order-items"])
    assert table_key("lake", "x") == dg.AssetKey(["warehouse_lake", "x"])
    alike = ["a b", "a_b", "a/b", "a  b", "a$b", "größe", "gr_e"]
    assert len({table_key("default", name) for name in alike}) == len(alike)


def test_two_events_are_two_ops_where_their_names_join_alike(tree: Tree) -> None:
    for place in ("a/b__c", "a__b/c", "a/_b", "a_/b", "a/b"):
        if place != "a/_b":  # a name of a module that is the author's own business
            tree.event(place, topic=f"{place.replace('/', '.')}.v1")
    catalogue = tree.load()
    build_definitions(catalogue).get_repository_def().get_all_jobs()
    assert op_name(catalogue.find("a/b")) == "a__b"
    assert len({op_name(event) for event in catalogue}) == len(catalogue)


def test_a_long_name_is_a_tag_all_the_same(tree: Tree) -> None:
    name = "e" * 200
    tree.event(f"flights/{name}")
    build_definitions(tree.load()).get_repository_def()
    assert len(legal_tag(name)) <= 63 and legal_tag("flight_departed") == "flight_departed"
    assert legal_tag("e" * 64) != legal_tag("e" * 65)


def test_delays_that_name_one_schedule_are_one_delay(tree: Tree) -> None:
    tree.event("a/b", topic="a.b.v1", replace={'daily("2013-01-01")': 'daily("2013-01-01", delay="1m")'})
    tree.event("a/c", topic="a.c.v1", replace={'daily("2013-01-01")': 'daily("2013-01-01", delay="2s")'})
    tree.event("a/d", topic="a.d.v1", replace={'daily("2013-01-01")': 'daily("2013-01-01", delay="90s")'})
    schedules = build_definitions(tree.load()).get_repository_def().schedule_defs
    assert {schedule.name for schedule in schedules} == {"daily_after_1m", "daily_after_2m"}
    assert asset_key(tree.load().find("a/b"), "sourced").path == ["a", "b", "sourced"]
