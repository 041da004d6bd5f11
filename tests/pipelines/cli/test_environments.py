"""Commands in environments: `sluice env`, and one installation that publishes to several on real servers."""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer, KafkaError, TopicPartition
from dagster import DagsterInstance

from pipelines.cli.root import sluice as commands
from pipelines.preflight.finding import Finding
from resources.dev.servers.kinds.embedded_broker import EmbeddedBroker
from tests.fixtures_servers import KafkaServer, RegistryServer, own_server
from tests.pipelines.cli.conftest import Sluice, ends, environment
from tests.pipelines.cli.warm import Warm

TWO = """
[kafka]
"client.id" = "all"
[env.stage]
topic_prefix = "stage."
[env.stage.kafka]
"bootstrap.servers" = "one:9092"
"sasl.password" = "hunter2-zebra"
[env.prod.kafka]
"bootstrap.servers" = "two:9092"
[env.bare]
[env.broken]
batch_rows = "x"
"""
EVENT, TOPIC, DAY = "flight_cancelled", "flights.flight-cancelled.v1", "2013-01-01"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    (tmp_path / "sluice.toml").write_text(TWO)
    monkeypatch.setenv("SLUICE_TOML", str(tmp_path / "sluice.toml"))
    monkeypatch.setenv("SLUICE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "400")
    for name in ("SLUICE_ENV", "SLUICE_ENV_CHOSEN_BY"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, **environ: str) -> Result:
        return CliRunner(env=environ).invoke(commands, arguments)

    return run


def test_env_shows_the_environment_the_others_and_the_origin_of_each_value(
    run: Callable[..., Result],
) -> None:
    told = run("--env", "stage", "env", SLUICE_STAGE_TOPIC_PARTITIONS="7").output
    assert "Environment stage, chosen by --env" in told and "bare, broken, prod, stage" in told
    lines = {line.split()[0]: line.split() for line in told.splitlines() if line.strip()}
    assert lines["topic_partitions"] == ["topic_partitions", "7", "SLUICE_STAGE_TOPIC_PARTITIONS"]
    assert lines["kafka.client.id"] == ["kafka.client.id", "all", "sluice.toml"]
    assert lines["kafka.sasl.password"][1:4] == ["********", "[env.stage]", "of"]
    assert lines["reconcile"] == ["reconcile", "true", "default"]
    assert lines["ledger_topic"][1] == "stage.sluice.ledger"
    assert lines["prod"][1] == "two:9092"
    assert "broken: " in told and "batch_rows='x' is not a whole number" in told
    assert "hunter2" not in told


def test_env_as_json_has_the_same(run: Callable[..., Result]) -> None:
    found = json.loads(run("env", "--json", SLUICE_ENV="prod").output)
    assert found["environment"] == {"name": "prod", "chosen_by": "SLUICE_ENV"}
    rows = {row["name"]: row for row in found["settings"]}
    assert rows["kafka.bootstrap.servers"] == {
        "name": "kafka.bootstrap.servers",
        "value": "two:9092",
        "from": "environment table",
        "place": "[env.prod] of sluice.toml",
    }
    assert [one["name"] for one in found["environments"]] == ["bare", "broken", "prod", "stage"]
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--env", "prod", "list"),
        ("list", "--env", "prod"),
        ("--env", "prod", "list", "--env", "prod"),
        ("list", "--env", "prod", "--env", "prod"),
    ],
)
def test_the_option_is_taken_before_and_after_the_command(
    run: Callable[..., Result], arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_ENV", "stage")
    told = run(*arguments, "--json")
    assert told.exit_code == 0 and "stage." not in told.output
    # The selection ends with the command.
    assert "stage." in run("list", "--json").output


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--env", ""),
        ("--env", "prod", "list", "--env", "stage"),
        ("--env", "prod", "--env", "stage", "list"),
        ("list", "--env", "prod", "--env", "stage"),
        ("list", "--env", "prod", "--env", ""),
    ],
)
def test_a_choice_that_is_none_is_a_usage_error(
    run: Callable[..., Result], arguments: tuple[str, ...]
) -> None:
    assert run(*arguments).exit_code == 2


def test_dagsters_home_ends_with_the_command(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "before")
    monkeypatch.delenv("DAGSTER_HOME")
    homes: list[Path] = []

    def serve(_: Sequence[str]) -> None:
        homes.append(Path(os.environ["DAGSTER_HOME"]))

    monkeypatch.setattr("pipelines.cli.actions.webserver.serve", serve)
    for name in ("stage", "prod"):
        told = run("webserver", "--env", name)
        assert told.exit_code == 0, told.output
        assert f"Environment {name}: Kafka " in told.stderr
    assert [home.parent.name for home in homes] == ["stage", "prod"]
    assert "DAGSTER_HOME" not in os.environ


def test_commands_in_messages_carry_the_option(run: Callable[..., Result]) -> None:
    told = run("--env", "prod", "publish", "xyz", DAY)
    assert told.exit_code == 1
    assert "next:    run: sluice --env prod list" in told.output
    assert "Next: sluice --env prod check" in run("list", "--env", "prod").output
    assert "Next: sluice check" in run("list", SLUICE_ENV="prod").output
    assert "as in `sluice --env prod publish" in run("publish", "--env", "prod").output


@pytest.mark.parametrize("known", [False, True])
def test_check_says_where_it_writes_only_if_it_writes(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    class Journal:
        def __init__(self, _: object) -> None: ...

        def write_missing(self, _: object, *, writing: Callable[[], None]) -> None:
            if not known:
                writing()

    monkeypatch.setattr("pipelines.cli.actions.check.check_event", lambda *_, **__: [Finding("x", "ok", "y")])
    monkeypatch.setattr("pipelines.journal.milestones.Journal", Journal)
    told = run("check", "flight_departed", "--env", "stage")
    assert told.exit_code == 0, told.output
    assert ("Environment stage: Kafka one:9092" in told.stderr) is not known
    assert "Next: sluice --env stage preview flight_departed" in told.stdout


def test_every_command_takes_the_option(run: Callable[..., Result]) -> None:
    for name in commands.list_commands(None):  # type: ignore[arg-type]
        assert "--env NAME" in run(name, "--help").output, name
    assert "--env NAME" in run("ledger", "accept-topic", "--help").output


@pytest.mark.parametrize("arguments", [("up",), ("demo",)])
def test_servers_for_development_are_not_started_for_an_environment(
    run: Callable[..., Result], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    told = run(*arguments, "--env", "bare")
    assert told.exit_code == 1, told.output
    assert "embedded_servers = true below [env.bare]" in told.output
    assert not (tmp_path / "home").exists()


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker of its own: its topics have no prefix, and other tests publish the same event."""
    with own_server(KafkaServer, EmbeddedBroker(), tmp_path_factory) as broker:
        yield broker


@pytest.fixture(scope="module")
def world(
    tree: Path,
    sample: Path,
    kafka: KafkaServer,
    production: KafkaServer,
    embedded_registry: RegistryServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, Sluice]]:
    """Three environments: two that share a real Kafka, and one on another broker."""
    folder = tmp_path_factory.mktemp("environments")
    toml = f"""
samples = true
create_topics = true
register_contracts = true
[registry]
url = "{embedded_registry.url}"
[warehouse]
default = "duckdb://{sample}"
[env.stage]
topic_prefix = "stage."
[env.stage.kafka]
"bootstrap.servers" = "{kafka.bootstrap}"
[env.test]
topic_prefix = "test."
[env.test.kafka]
"bootstrap.servers" = "{kafka.bootstrap}"
[env.prod.kafka]
"bootstrap.servers" = "{production.bootstrap}"
"""
    (folder / "sluice.toml").write_text(toml)
    environ = environment(folder / "home", SLUICE_TOML=str(folder / "sluice.toml"))
    with closing(Warm(tree, environ, tmp_path_factory.mktemp("told"))) as warm:
        yield folder, lambda *arguments, **more: warm.run(arguments, {**environ, **more}, seconds=300)


def values(server: KafkaServer, topic: str) -> set[bytes]:
    """What an ordinary consumer reads."""
    reader = Consumer(
        {
            "bootstrap.servers": server.bootstrap,
            "group.id": "anybody",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    places = [
        TopicPartition(topic, p, 0) for p in reader.list_topics(topic, timeout=60).topics[topic].partitions
    ]
    reader.assign(places)
    found, ended, deadline = set[bytes](), set[int](), time.monotonic() + 120
    while len(ended) < len(places):
        assert time.monotonic() < deadline, "the end of the topic was not reached"
        message = reader.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is None:
            found.add(message.value() or b"")
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition() or 0)
    reader.close()
    return found


def test_environments_publish_each_to_its_own_place(
    world: tuple[Path, Sluice],
    kafka: KafkaServer,
    production: KafkaServer,
    embedded_registry: RegistryServer,
) -> None:
    folder, sluice = world
    before = ends(kafka)
    first = sluice("publish", EVENT, DAY, "--env", "stage")
    assert first.returncode == 0, first.stderr
    where = f"Environment stage: Kafka {kafka.bootstrap}, registry {embedded_registry.url}, topics that begin with 'stage.'"
    assert first.stderr.count(where) == 1
    other = sluice("publish", EVENT, DAY, SLUICE_ENV="test")
    assert other.returncode == 0 and "Nothing was published" not in other.stdout, other.stderr
    alone = sluice("--env", "prod", "publish", EVENT, DAY, "--json")
    assert alone.returncode == 0 and json.loads(alone.stdout)[0]["action"] == "backfill", alone.stderr

    written = {name for name, offsets in ends(kafka).items() if before.get(name) != offsets}
    for prefix in ("stage.", "test."):
        assert {f"{prefix}{TOPIC}", f"{prefix}sluice.ledger"} <= written
    assert all(name.startswith(("stage.", "test.", "__")) for name in written)
    alone_there = set(ends(production))
    assert TOPIC in alone_there and not any(name.startswith(("stage.", "test.")) for name in alone_there)
    with urllib.request.urlopen(f"{embedded_registry.url}/subjects") as answer:
        subjects = set(json.load(answer))
    assert {f"stage.{TOPIC}-value", f"test.{TOPIC}-value", f"{TOPIC}-value"} <= subjects
    # The same events, each once.
    counts = [
        len(values(kafka, f"stage.{TOPIC}")), len(values(kafka, f"test.{TOPIC}")), len(values(production, TOPIC))
    ]  # fmt: skip
    assert counts[0] == json.loads(alone.stdout)[0]["published"] > 0 and len(set(counts)) == 1

    again = sluice("publish", EVENT, DAY, "--env", "stage")
    assert "Nothing was published" in again.stdout, again.stderr
    # The Dagster instance of each environment knows its own runs, which have its name.
    home = folder / "home" / "environments"
    for name, runs in (("stage", 2), ("test", 1), ("prod", 1)):
        with DagsterInstance.from_config(str(home / name / "dagster")) as instance:
            found = instance.get_runs()
            assert [run.tags.get("sluice/environment") for run in found] == [name] * runs
            told = [entry.message for entry in instance.all_logs(found[0].run_id)]
            assert any(f"Environment {name}: Kafka" in message for message in told)


def test_a_shadow_topic_begins_with_the_prefix(world: tuple[Path, Sluice]) -> None:
    _, sluice = world
    told = sluice("replay", EVENT, DAY, "--to", "flights.rehearsal", "--reason", "x", SLUICE_ENV="stage")
    assert told.returncode == 1
    assert "shadow topic flights.rehearsal: does not begin with topic_prefix 'stage.'" in told.stderr
    assert "--to stage.flights.rehearsal" in told.stderr


def test_a_plan_is_applied_where_it_was_made(world: tuple[Path, Sluice], tmp_path: Path) -> None:
    _, sluice = world
    plan = str(tmp_path / "plan.json")
    made = sluice("--env", "test", "plan", EVENT, "2013-01-02", "--out", plan)
    assert f"Next: sluice --env test plan --apply {plan}" in made.stdout, made.stderr
    told = sluice("--env", "stage", "plan", "--apply", plan)
    assert told.returncode == 1
    assert "was made in environment test, and this command runs in environment stage" in told.stderr
