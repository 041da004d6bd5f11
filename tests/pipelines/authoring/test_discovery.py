"""What is in an `assets/` tree is found; all mistakes of the tree are reported at once."""

import json
import sys
from pathlib import Path

import pytest

from pipelines import CatalogueError, load_catalogue
from pipelines.authoring.catalogue import UnknownEventError
from pipelines.authoring.loading.module_import import imported_again
from tests.pipelines.authoring.conftest import CONTRACT, MODULE, Tree


def test_place_gives_domain_and_name(tree: Tree) -> None:
    tree.event("weather/weather_observed", topic="weather.weather-observed.v1")
    tree.event("flights/flight_departed")
    catalogue = tree.load()
    assert list(catalogue.events) == ["flights/flight_departed", "weather/weather_observed"]
    event = catalogue.find("weather_observed")
    assert (event.domain, event.name, event.topic) == (
        "weather",
        "weather_observed",
        "weather.weather-observed.v1",
    )
    assert event.module_path == tree.root / "weather/weather_observed.py"
    assert event.function_line == 20
    assert event.description == "A flight left its gate."
    assert catalogue.warnings == ()


def test_transform_that_returns_its_rows_is_no_transform(tree: Tree) -> None:
    tree.event()
    assert tree.load().find("flight_departed").transform is None


def test_other_transforms_are_the_authors_function(tree: Tree) -> None:
    tree.event(replace={"return rows": "return rows.head(1)"})
    transform = tree.load().find("flight_departed").transform
    assert transform is not None
    import pandas as pd

    assert len(transform(pd.DataFrame({"a": [1, 2]}))) == 1


def test_names_with_an_underscore_are_the_authors_own(tree: Tree) -> None:
    tree.event()
    tree.write("flights/_times.py", "def anything(): ...")
    tree.write("flights/_parts/more.py", "1 / 0")
    tree.write("flights/__init__.py", "")
    assert len(tree.load()) == 1


def test_no_tree_at_all(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(tmp_path / "assets")
    assert str(caught.value) == (
        f"1 mistake in 1 file:\n\nassets: there is no folder {tmp_path}/assets; allowed: a folder with one folder per domain; "
        "next: change to a folder of your project, name its sluice.toml with SLUICE_TOML, or start a project: sluice init DIR"
    )


def test_missing_contract(tree: Tree) -> None:
    tree.write("flights/flight_departed.py", MODULE)
    assert tree.problem() == (
        "assets/flights/flight_departed.py: the module has no contract flight_departed.avsc beside it; "
        "allowed: an Avro record schema, every field with a doc; "
        "next: write assets/flights/flight_departed.avsc, or draft both by: sluice new"
    )


def test_orphan_contract_with_a_near_module(tree: Tree) -> None:
    tree.event()
    tree.write("flights/flight_depart.avsc", "{}")
    assert tree.problem() == (
        "assets/flights/flight_depart.avsc: the contract belongs to no module; allowed: a module flight_depart.py "
        "beside it; next: did you mean 'flight_departed'? A contract bears the name of its module"
    )


def test_orphan_contract(tree: Tree) -> None:
    tree.write("flights/baggage.avsc", "{}")
    assert tree.problem() == (
        "assets/flights/baggage.avsc: the contract belongs to no module; allowed: a module baggage.py beside it; "
        "next: write the module, or delete the contract"
    )


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (
            "flight_departed",
            "the module lies in no domain; allowed: assets/<domain>/<event>.py, with <event>.avsc beside it; "
            "next: move it into the folder of its domain",
        ),
        (
            "flights/jfk/flight_departed",
            "the module lies too deep: a domain has no folders; "
            "allowed: assets/<domain>/<event>.py, with <event>.avsc beside it; "
            "next: move it to assets/flights/flight_departed.py",
        ),
        (
            "flights/FlightDeparted",
            "'FlightDeparted' cannot be the name of an event; allowed: lower-case letters, digits and underscores, "
            "beginning with a letter; no word of Python's own; next: did you mean 'flight_departed'?",
        ),
        (
            "flights-2013/flight_departed",
            "'flights-2013' cannot be the name of a domain; allowed: lower-case letters, digits and underscores, "
            "beginning with a letter; no word of Python's own; next: did you mean 'flights_2013'?",
        ),
        (
            "flights/import",
            "'import' cannot be the name of an event; allowed: lower-case letters, digits and underscores, "
            "beginning with a letter; no word of Python's own",
        ),
    ],
)
def test_misplaced_module(tree: Tree, place: str, text: str) -> None:
    tree.event(place)
    assert tree.problem() == f"assets/{place}.py: {text}"


def test_contract_problems_come_with_their_file_and_field(tree: Tree) -> None:
    tree.event(fields={"delay_minutes": "integer"})
    problem = tree.problem()
    assert problem.startswith("assets/flights/flight_departed.avsc: field 'delay_minutes': ")
    assert "'integer'" in problem
    assert str(tree.root) not in problem


def test_fields_without_doc_are_named_at_any_depth(tree: Tree) -> None:
    tree.event()
    contract = json.loads(json.dumps(CONTRACT))
    del contract["fields"][2]["doc"]
    leg = {"type": "record", "name": "Leg", "fields": [{"name": "fuel", "type": "int"}]}
    contract["fields"].append(
        {"name": "legs", "doc": "Hops.", "type": ["null", {"type": "array", "items": leg}]}
    )
    tree.write("flights/flight_departed.avsc", json.dumps(contract))
    problems = tree.problems()
    assert problems[0] == (
        "assets/flights/flight_departed.avsc: 2 fields have no doc: delay_minutes, legs[].fuel; "
        'allowed: a doc for every field, with its unit; next: add "doc": "..." to \'delay_minutes\''
    )


def test_one_topic_for_two_events_is_told_to_both(tree: Tree) -> None:
    tree.event("flights/flight_departed")
    tree.event("flights/gate_closed")
    assert tree.problems() == [
        "assets/flights/flight_departed.py:9: topic='flights.flight-departed.v1' is also the topic of "
        "assets/flights/gate_closed.py:9; allowed: a topic of its own for every event; next: rename one of the two",
        "assets/flights/gate_closed.py:9: topic='flights.flight-departed.v1' is also the topic of "
        "assets/flights/flight_departed.py:9; allowed: a topic of its own for every event; next: rename one of the two",
    ]


def test_topics_that_kafka_takes_for_one(tree: Tree) -> None:
    tree.event("flights/one", topic="flights.gate_closed.v1")
    tree.event("flights/two", topic="flights.gate.closed.v1")
    assert tree.problems()[0] == (
        "assets/flights/one.py:9: topic='flights.gate_closed.v1' and 'flights.gate.closed.v1' of "
        "assets/flights/two.py:9 differ only in '.' and '_', which Kafka refuses; "
        "allowed: a topic of its own for every event; next: rename one of the two"
    )


def test_mistakes_of_all_modules_come_together_file_by_file(tree: Tree) -> None:
    tree.event("flights/a", topic="flights.a.v1", replace={'key="flight_id"': 'key="nothing"'})
    tree.event("flights/b", topic="flights.b", replace={":window_end": ":window_stop"})
    tree.write("flights/c.py", "def (")
    tree.write("weather/orphan.avsc", "{}")
    tree.event("weather/fine", topic="weather.fine.v1")
    with pytest.raises(CatalogueError) as caught:
        tree.load()
    assert str(caught.value).startswith("6 mistakes in 4 files:\n\n")
    assert [problem.where for problem in caught.value.problems] == [
        "assets/flights/a.py:10",
        "assets/flights/b.py:9",
        "assets/flights/b.py:17",
        "assets/flights/c.py",
        "assets/flights/c.py:1",
        "assets/weather/orphan.avsc",
    ]


def test_events_without_a_mistake_are_at_hand(tree: Tree) -> None:
    tree.event("flights/good", topic="flights.good.v1")
    tree.event("flights/bad", topic="flights.bad")
    tree.event("flights/twin", topic="flights.twin.v1")
    tree.event("weather/twin", topic="flights.twin.v1")
    with pytest.raises(CatalogueError) as caught:
        tree.load()
    healthy = caught.value.healthy
    assert list(healthy.events) == ["flights/good"]
    assert healthy.find("good").topic == "flights.good.v1"
    with pytest.raises(CatalogueError) as again:
        healthy.find("bad")
    assert [problem.file for problem in again.value.problems] == ["assets/flights/bad.py"]
    with pytest.raises(CatalogueError) as again:
        healthy.find("weather/twin")
    assert "is also the topic of assets/flights/twin.py:9" in str(again.value)


def test_find_names_the_nearest(tree: Tree) -> None:
    tree.event("flights/flight_departed")
    tree.event("weather/observed", topic="weather.observed.v1")
    tree.event("sea/observed", topic="sea.observed.v1")
    catalogue = tree.load()
    assert catalogue.find("weather/observed").domain == "weather"
    with pytest.raises(UnknownEventError) as caught:
        catalogue.find("flight_departd")
    assert str(caught.value) == (
        "event 'flight_departd': there is no such event; "
        "allowed: flights/flight_departed, sea/observed, weather/observed; next: did you mean 'flight_departed'?"
    )
    with pytest.raises(UnknownEventError) as caught:
        catalogue.find("observed")
    assert str(caught.value) == (
        "event 'observed': more than one domain has it; allowed: sea/observed, weather/observed; "
        "next: name the domain too"
    )


def test_find_in_an_empty_tree(tree: Tree) -> None:
    with pytest.raises(UnknownEventError, match="there are no events in"):
        tree.load().find("anything")


def test_helpers_of_the_same_tree_are_imported_from_it(tree: Tree) -> None:
    tree.write("flights/_times.py", "def clean(rows):\n    return rows.head(1)\n")
    tree.event(
        replace={
            "import pandas as pd": "import pandas as pd\nfrom assets.flights._times import clean",
            "return rows": "return clean(rows)",
        }
    )
    assert len(tree.load()) == 1


def test_a_broken_helper_is_one_mistake_at_its_own_line(tree: Tree) -> None:
    tree.write("flights/_times.py", "\n\nUTC = zoneinfo.ZoneInfo('UTC')\n")
    for name in ("a", "b"):
        tree.event(
            f"flights/{name}",
            topic=f"flights.{name}.v1",
            replace={"import pandas as pd": "from assets.flights._times import UTC"},
        )
    assert tree.problem() == "assets/flights/_times.py:3: the name 'zoneinfo' is not defined"


def test_a_helper_that_does_not_parse(tree: Tree) -> None:
    tree.write("flights/_times.py", "x = (\n")
    tree.event(replace={"import pandas as pd": "from assets.flights import _times"})
    assert tree.problem() == "assets/flights/_times.py:1: Python cannot read 'x = (': '(' was never closed"


def test_edits_are_seen_and_nothing_of_the_tree_stays_imported(tree: Tree) -> None:
    before = {name for name in sys.modules if name.split(".")[0] == "assets"}
    tree.event()
    assert tree.load().find("flight_departed").owner == "team:operations"
    tree.event(replace={"team:operations": "team:operatives"})
    assert tree.load().find("flight_departed").owner == "team:operatives"
    assert {name for name in sys.modules if name.split(".")[0] == "assets"} == before


def test_a_module_that_is_not_text(tree: Tree) -> None:
    tree.event()
    (tree.root / "flights/flight_departed.py").write_bytes(b"\xff\x00")
    assert tree.problem().startswith("assets/flights/flight_departed.py: ")


def test_sql_from_a_constant_is_reported_where_it_is_named(tree: Tree) -> None:
    source = MODULE[MODULE.index('    source="""') : MODULE.index("\n)\ndef")]
    tree.event(replace={source: "    source=QUERY,", "\n\n@event(": '\n\nQUERY = "SELECT 1"\n\n\n@event('})
    assert tree.problem().startswith("assets/flights/flight_departed.py:17: the SQL has no :window_start")


def test_what_a_reviewer_should_look_at_is_a_warning(tree: Tree) -> None:
    tree.event(
        replace={
            "flight_id, departed_at, delay_minutes": "*, now() AS seen",
            ":window_end\n": ":window_end\n        LIMIT 10\n",
            'owner="team:operations",': 'owner="team:operations",\n    whole_window=True,',
        }
    )
    assert [str(warning) for warning in tree.load().warnings] == [
        "assets/flights/flight_departed.py:16: the SQL selects *, so a column that the warehouse adds changes what "
        "the transform gets; next: name the columns",
        "assets/flights/flight_departed.py:16: the SQL uses NOW() in column 'seen', which gives another value in every run: where it "
        "reaches a column, each re-run of a window publishes its events again, as corrections; "
        "next: use :window_start or :window_end, or a column of the row, instead",
        "assets/flights/flight_departed.py:16: the SQL has a LIMIT: rows beyond it are never published, and which "
        "they are may change; next: take it off",
        "assets/flights/flight_departed.py:14: whole_window=True costs memory, and the transform changes nothing; "
        "next: leave it out",
    ]


def test_dialect_of_a_warehouse(tree: Tree) -> None:
    tree.event(replace={'owner="team:operations",': 'owner="team:operations",\n    warehouse="lake",'})
    assert tree.load(dialects={"lake": "postgres"}).find("flight_departed").source.dialect == "postgres"
    assert tree.load().find("flight_departed").source.dialect == "duckdb"


def test_owners_that_pass_here_pass_in_dagster(tree: Tree) -> None:
    from dagster._core.definitions.utils import is_valid_owner

    for owner in ("team:a", "team:Flight.Ops_2-x", "a.b+c@example.com"):
        tree.event(replace={"team:operations": owner})
        assert is_valid_owner(tree.load().find("flight_departed").owner)


def test_the_applications_own_catalogue_loads() -> None:
    catalogue = load_catalogue()
    assert catalogue.find("flight_departed").full_name == "flights/flight_departed"
    assert catalogue.warnings == ()
    assert "assets.flights.flight_departed" in sys.modules


def test_a_module_is_imported_again_with_its_helpers_and_leaves_no_trace(tree: Tree) -> None:
    tree.write("flights/_state.py", "SEEN: list[int] = []\n")
    tree.event(replace={"import pandas as pd": "import pandas as pd\nfrom assets.flights._state import SEEN"})
    path = tree.load().find("flight_departed").module_path
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "assets"}
    one, two = imported_again(path), imported_again(path)
    assert one is not two and one.SEEN is not two.SEEN
    assert callable(one.flight_departed)
    after = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "assets"}
    assert after == before


def test_what_a_module_prints_is_not_in_the_commands_output(
    tree: Tree, capsys: pytest.CaptureFixture[str]
) -> None:
    tree.event(replace={"import pandas as pd": "import pandas as pd\nprint('imported')"})
    tree.load()
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", "imported\n")


def test_a_link_to_a_folder_around_it_is_not_walked(tree: Tree) -> None:
    tree.event()
    (tree.root / "flights/again").symlink_to(tree.root)
    (tree.root / "flights/self").symlink_to(tree.root / "flights")
    assert list(tree.load().events) == ["flights/flight_departed"]


def test_a_topic_prefix_begins_every_topic_and_changes_nothing_else(tree: Tree) -> None:
    tree.event("flights/flight_departed")
    plain = tree.load().find("flight_departed")
    found = tree.load(topic_prefix="stage.").find("flight_departed")
    assert found.topic == f"stage.{plain.topic}"
    assert (found.code_version, found.full_name, found.key) == (
        plain.code_version,
        plain.full_name,
        plain.key,
    )


def test_a_topic_that_the_prefix_makes_too_long_is_named(tree: Tree) -> None:
    topic = f"{'t' * 240}.v1"
    tree.event("flights/flight_departed", topic=topic)
    assert tree.load().find("flight_departed").topic == topic
    with pytest.raises(
        CatalogueError, match=r"with topic_prefix='stage\.x\.' of the settings has 251 characters"
    ) as caught:
        tree.load(topic_prefix="stage.x.")
    assert len(caught.value.problems) == 1
