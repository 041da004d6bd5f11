"""One declaration never prevents the other events from being loaded, run and scheduled."""

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from pipelines import CatalogueError
from pipelines.authoring.loading import resolution
from pipelines.orchestration.definitions import build
from pipelines.orchestration.definitions.broken import LOADS, broken_parts, told
from pipelines.orchestration.definitions.build import build_definitions, build_location
from pipelines.orchestration.definitions.location import SETTINGS, load_location
from pipelines.orchestration.keys import asset_key, key_of, legal_name, legal_tag, op_name, table_key
from tests.pipelines.authoring.conftest import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "assets").mkdir()
    return Tree(tmp_path / "assets")


def located(tree: Tree) -> dg.Definitions:
    try:
        definitions = build_location(tree.load(), {})
    except CatalogueError as error:
        broken = {name: told(problems) for name, problems in broken_parts(error).items()}
        definitions = build_location(error.healthy, broken)
    repository = definitions.get_repository_def()
    repository.get_all_jobs()
    # One page shows every event: it must be UTF-8.
    json.dumps(json.loads(serialize_value(RepositorySnap.from_def(repository))), ensure_ascii=False).encode()
    return definitions


def names(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.get_repository_def().asset_graph.get_all_asset_keys()}


MISTAKES = {
    "syntax": {"return rows": "return rows ("},
    "import": {"import pandas as pd": "import pandas as pd\nimport no_such_package"},
    "exit": {"import pandas as pd": "import pandas as pd\nraise SystemExit(3)"},
    "exits when it is asked what is wrong": {
        "import pandas as pd": "import pandas as pd\nclass Odd(Exception):\n    def __str__(self):\n        raise SystemExit\nraise Odd"
    },
    "interrupt": {"import pandas as pd": "import pandas as pd\nraise KeyboardInterrupt"},
    "raises": {"import pandas as pd": "import pandas as pd\n1 / 0"},
    "argument": {'owner="team:operations"': 'owner="nobody"'},
    "window": {'daily("2013-01-01")': 'daily("2013-13-01")'},
    "query": {"FROM flights": "FROM"},
    "says what no page can show": {
        "import pandas as pd": "import pandas as pd\nraise ValueError('\\ud800 \\0 \\x1b[31m')"
    },
    "docstring": {'"""A flight left its gate."""': '"""A flight left \\ud800 its gate."""'},
    "description": {'owner="team:operations"': 'owner="team:operations", description="red \\x1b[31m"'},
    "statement": {"FROM flights": 'FROM "fl\\0ights"'},
    "half a pair in a statement": {"FROM flights": 'FROM "fl\\udc00ights"'},
    "delay": {'daily("2013-01-01")': f'daily("2013-01-01", delay="{"9" * 5_000}h")'},
    "warehouse": {'owner="team:operations"': 'owner="team:operations", warehouse="größe"'},
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
    assert names(definitions) >= {f"flights/flight_departed/flight_departed_{stage}" for stage in stages}
    assert names(definitions) >= {f"flights/flight_landed/flight_landed_{stage}" for stage in stages}
    assert {schedule.name for schedule in definitions.get_repository_def().schedule_defs} == {
        "daily",
        "hourly",
    }
    spec = definitions.resolve_asset_graph().get(key_of("flights", "flight_departed", "published"))
    assert "assets/flights/flight_departed.py" in (spec.description or "")
    healthy = definitions.resolve_asset_graph().get(key_of("flights", "flight_landed", "published"))
    assert isinstance(healthy.partitions_def, dg.TimeWindowPartitionsDefinition)


@pytest.mark.parametrize(
    "endless",
    [
        "while True:\n    pass",
        "import time\ntime.sleep(1_000)",
        "import re\nre.match('(a+)+$', 'a' * 50 + 'b')",
    ],
)
def test_an_import_that_never_ends_is_ended_and_the_others_load(
    tree: Tree, endless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "_SECONDS", 0.3)
    monkeypatch.setattr(resolution, "_SECONDS_THEN", 5.0)
    tree.event("flights/flight_landed", topic="flights.flight-landed.v1")
    tree.event(replace={"import pandas as pd": f"import pandas as pd\n{endless}"})
    definitions = located(tree)
    spec = definitions.resolve_asset_graph().get(key_of("flights", "flight_departed", "published"))
    assert re.search(r"flight_departed.py:[45]: importing it takes too long", spec.description or "")
    assert "flights/flight_landed/flight_landed_published" in names(definitions)


def test_a_module_or_contract_that_is_a_pipe_is_not_waited_for_without_end(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolution, "_SECONDS", 0.3)
    tree.event()
    os.mkfifo(tree.root / "flights/flight_piped.py")
    with pytest.raises(CatalogueError, match="takes too long") as error:
        tree.load()
    assert list(error.value.healthy.events) == ["flights/flight_departed"]


def test_what_a_module_sets_for_the_whole_process_ends_with_its_import(tree: Tree) -> None:
    before, folder = list(warnings.filters), Path.cwd()
    sets = "import os, warnings\nwarnings.simplefilter('error')\nos.chdir('/')"
    tree.event(replace={"import pandas as pd": f"import pandas as pd\n{sets}"})
    tree.load()
    assert warnings.filters == before
    assert Path.cwd() == folder


def test_members_of_enums_are_the_texts_and_numbers_that_they_hold(tree: Tree) -> None:
    enums = """
import enum
class Topic(enum.StrEnum):
    DEPARTED = "flights.flight-departed.v1"
class Owner(str, enum.Enum):
    OPERATIONS = "team:operations"
class Rate(enum.IntEnum):
    SLOW = 5
"""
    tree.event(
        replace={
            '"flights.flight-departed.v1"': "Topic.DEPARTED",
            '"team:operations"': "Owner.OPERATIONS, limits=limits(rows_per_second=Rate.SLOW, "
            "lag={Topic.DEPARTED: (Rate.SLOW, 1)})",
            "import pandas as pd": f"import pandas as pd\nfrom pipelines import limits\n{enums}",
        }
    )
    assert "flights/flight_departed/flight_departed_published" in names(located(tree))
    (event,) = tree.load().events.values()
    assert type(event.topic) is type(event.owner) is str
    assert type(event.limits.rows_per_second) is int
    ((group, lag),) = event.limits.lag.items()
    assert (type(group), type(lag.pause_above)) == (str, int)


def test_a_fault_that_no_event_causes_is_raised_as_it_is(monkeypatch: pytest.MonkeyPatch, tree: Tree) -> None:
    def broken(_events: object) -> list[dg.ScheduleDefinition]:
        raise RuntimeError("no schedule at all")

    tree.event()
    monkeypatch.setattr(build, "build_schedules", broken)
    with pytest.raises(RuntimeError, match="no schedule at all"):
        build_location(tree.load(), {})


def test_a_users_own_interruption_still_ends_the_load(tree: Tree) -> None:
    pressed = "import os, signal, threading, time\nthreading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()"
    tree.event(replace={"import pandas as pd": f"import pandas as pd\n{pressed}\ntime.sleep(60)"})
    with pytest.raises(KeyboardInterrupt):
        tree.load()


def test_its_check_turns_red_with_the_message_once_and_a_run_of_it_says_the_same(tree: Tree) -> None:
    tree.event("flights/flight_departed", replace={'owner="team:operations"': 'owner="nobody"'})
    definitions = located(tree)
    repository = definitions.get_repository_def()
    sensor = repository.get_sensor_def("declarations")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    published = key_of("flights", "flight_departed", "published")
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
        "flights/flight_departed/flight_departed_published",
    }


def test_files_and_events_whose_names_join_alike_are_in_error_side_by_side(tree: Tree) -> None:
    tree.event()
    for place in ("a/b__c", "a__b/c"):
        tree.event(place, topic=f"{place.replace('/', '.')}.v1", replace={"FROM flights": "FROM"})
    for place in (
        "größe/x.py",
        "Flights/x.py",
        "flights/a b.py",
        "flights/a_b_.py",
        "flights/class.py",
        "x/a b.avsc",
    ):
        tree.write(place, "")
    found = names(located(tree))
    assert found >= {
        "flights/flight_departed/flight_departed_published",
        "a/b__c/b__c_published",
        "a__b/c/c_published",
    }
    assert len([name for name in found if name.startswith("files/")]) == 5


def test_a_doc_that_no_page_can_show_is_named(tree: Tree) -> None:
    tree.event()
    contract = tree.root / "flights/flight_departed.avsc"
    contract.write_text(contract.read_text().replace("When it left, UTC.", "When \\ud800."))
    tree.event("weather/rain", topic="weather.rain.v1")
    spec = located(tree).resolve_asset_graph().get(key_of("flights", "flight_departed", "published"))
    assert "the doc of field 'departed_at' has '\\ud800'" in (spec.description or "")


def test_everything_loads_and_nothing_is_added(tree: Tree) -> None:
    tree.event()
    definitions = located(tree)
    assert names(definitions) == names(build_definitions(tree.load()))
    assert [sensor.name for sensor in definitions.get_repository_def().sensor_defs] == ["lost_runs"]


@pytest.mark.parametrize("refused", [["a"], ["c"], ["g"], ["a", "d", "g"], list("abcdefg")])
def test_an_event_that_dagster_refuses_is_in_error_alone(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, refused: list[str]
) -> None:
    for name in "abcdefg":
        tree.event(f"letters/{name}", topic=f"letters.{name}.v1")
    real = build.build_assets  # type: ignore[attr-defined]

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
    '"x.y"', 's."x.y"', '"."', '"a%b"', '"a""b"', '"a$b"', '"a*b"', '"' + "x" * 300 + '"', '"int"', "orders.orders_published",
]  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_any_name_is_an_asset(tree: Tree, table: str) -> None:
    tree.event("warehouse/orders", replace={"FROM flights": f"FROM {table}"})
    definitions = build_definitions(tree.load())
    upstream = definitions.resolve_asset_graph().get(key_of("warehouse", "orders", "sourced"))
    (key,) = upstream.parent_keys
    assert key in definitions.resolve_asset_graph().external_asset_keys
    definitions.get_repository_def().get_all_jobs()


def test_names_that_dagster_takes_stay_as_they_are_and_no_two_become_one() -> None:
    assert table_key("default", "shop.order-items") == dg.AssetKey(["warehouse", "shop", "order-items"])
    assert table_key("lake", "x") == dg.AssetKey(["warehouse_lake", "x"])
    alike = [
        "a b",
        "a_b",
        "a/b",
        "a  b",
        "a$b",
        "A_b",
        "größe",
        "gr_e",
        "x.y",
        '"x.y"',
        '"x.y".z',
        "x.y.z",
        'x."y.z"',
        '"x""y"',
        "x_y",
    ]
    assert len({table_key("default", name) for name in alike}) == len(alike)
    assert table_key("default", '"/data/x.parquet"').path[-1].startswith("_data_x_parquet_"), (
        "a card says what it is"
    )


def test_two_events_are_two_ops_where_their_names_join_alike(tree: Tree) -> None:
    for place in ("a/b__c", "a__b/c", "a/_b", "a_/b", "a/b"):
        if place != "a/_b":  # a module name that is ignored: authors may use it freely
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
    assert asset_key(tree.load().find("a/b"), "sourced").path == ["a", "b", "b_sourced"]


@pytest.mark.parametrize(
    ("toml", "told_of"),
    [
        (
            'topic_prefix = "stage."\nbatch_row = 7\n[jobs.nightly]\nselect = "*"\n',
            "unknown setting batch_row",
        ),
        ("this is no toml", "not valid TOML"),
        ('assets = "~nosuchuser/x"', "~nosuchuser is not known"),
    ],
)
def test_settings_that_cannot_be_read_are_shown_and_no_event_loads_with_another_topic(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str, told_of: str
) -> None:
    tree.event()
    for name in [name for name in os.environ if name.startswith("SLUICE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "sluice.toml").write_text(toml)
    monkeypatch.setenv("SLUICE_TOML", str(tmp_path / "sluice.toml"))
    definitions = load_location()
    repository = definitions.get_repository_def()
    shown = repository.asset_graph.get(dg.AssetKey(["files", legal_name(SETTINGS)])).description
    assert told_of in str(shown)
    assert [one.name for one in repository.sensor_defs if one.name == "declarations"] == ["declarations"]
    assert not repository.schedule_defs
    for key in repository.asset_graph.get_all_asset_keys():
        description = repository.asset_graph.get(key).description
        assert told_of in str(description), "everything is in error"
    if "batch_row" in toml:  # the folder of the events is known: they keep their keys
        keys = {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()}
        assert "flights/flight_departed/flight_departed_published" in keys
