"""A copy of the project that tests may write into, and the command line run in it against real servers."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from resources.dev.sample import build_sample_warehouse
from resources.dev.servers.kinds.embedded_broker import EmbeddedBroker
from resources.dev.servers.kinds.embedded_registry import EmbeddedRegistry
from tests.fixtures_servers import KafkaServer, RegistryServer, own_server
from tests.pipelines.cli.warm import Warm

ROOT = Path(__file__).resolve().parents[3]
Sluice = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sample_warehouse(tmp_path_factory.mktemp("sample") / "sample.duckdb")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project with three of its events."""
    tree = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    for package in ("pipelines", "resources", "assets"):
        shutil.copytree(ROOT / package, tree / package, ignore=ignored)
    shutil.copy(ROOT / "workspace.yaml", tree)
    keep = ("flight_cancelled", "carrier_day_closed", "weather_observed", "__init__")
    for path in (tree / "assets").glob("*/*"):
        if path.stem not in keep:
            path.unlink()
    yield tree


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment without any settings of Sluice that the user has."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    clean |= {"SLUICE_HOME": str(home), "COLUMNS": "100", "NO_COLOR": "1"}
    clean.pop("DAGSTER_HOME", None)
    return {**clean, **settings}


def ends(broker: KafkaServer) -> dict[str, list[int]]:
    """The end offset of each partition of each topic of the broker that has records. The embedded broker creates an
    empty topic for a client that looks for it."""
    reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "looks-on"})
    try:
        found = {
            name: [
                reader.get_watermark_offsets(TopicPartition(name, number), timeout=60)[1]
                for number in topic.partitions
            ]
            for name, topic in reader.list_topics(timeout=60).topics.items()
        }
        return {name: offsets for name, offsets in found.items() if any(offsets)}
    finally:
        reader.close()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", *arguments]


@pytest.fixture(scope="module")
def servers(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """An environment with servers of this module.

    Not the session's servers: topics and subjects are named after the events, and a test may require that one
    does not exist yet.
    """
    with (
        own_server(KafkaServer, EmbeddedBroker(), tmp_path_factory) as broker,
        own_server(RegistryServer, EmbeddedRegistry(), tmp_path_factory) as registry,
    ):
        yield environment(
            tmp_path_factory.mktemp("home"),
            SLUICE_KAFKA_BOOTSTRAP_SERVERS=broker.bootstrap,
            SLUICE_REGISTRY_URL=registry.url,
            SLUICE_WAREHOUSE_DEFAULT=f"duckdb://{sample}",
            SLUICE_SAMPLES="true",
            SLUICE_CREATE_TOPICS="true",
            SLUICE_REGISTER_CONTRACTS="true",
        )


@pytest.fixture(scope="module")
def sluice(tree: Path, servers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sluice]:
    """Runs `sluice ...` in the tree as a user would, without a terminal."""
    with closing(Warm(tree, servers, tmp_path_factory.mktemp("told"))) as warm:

        def run(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
            return warm.run(arguments, {**servers, **settings}, seconds=300)

        yield run
