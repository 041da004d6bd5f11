"""Where the runs of one Dagster instance publish:
a worker that lost its environment is refused before the first byte."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from pipelines.ledger.identity import Part
from pipelines.orchestration.place import NotThisPlace, accept_place, place_changes, require_place
from resources.identity import Identity
from resources.kafka.topics.watch import TopicNow
from resources.platform import Platform
from resources.settings import Settings, load_settings


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


class Place:
    """The part of a platform that says where it publishes."""

    def __init__(self, folder: Path, *, cluster: str, own: bool = False, **settings: Any) -> None:
        loaded: Settings = load_settings(
            {"SLUICE_HOME": str(folder), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": f"{cluster}:9092"}
        )
        self.settings = replace(loaded, embedded=own, **settings)
        self.snapshots = SimpleNamespace(store_id=lambda make: str(folder))  # noqa: ARG005
        self.identity = Identity(cluster, str(folder), self.settings.code_location)
        self.watch = SimpleNamespace(now=lambda _: self.there)  # type: ignore[has-type]
        self.there = TopicNow("ledger-1", 16)
        self.ledger = SimpleNamespace(topic_id="ledger-1")  # reading it creates it


def place(folder: Path, cluster: str = "real", **more: Any) -> Platform:
    return cast(Platform, Place(folder, cluster=cluster, **more))


def test_what_a_run_publishes_to_is_remembered_for_the_next(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    require_place(instance, place(tmp_path))
    require_place(instance, place(tmp_path))


@pytest.mark.parametrize(
    ("other", "part", "named"),
    [
        ({"cluster": "other"}, "cluster", ("Kafka cluster real", "Kafka cluster other", "accept-cluster")),
        (
            {"ledger_topic": "sluice.ledger2"},
            "cluster",
            ("ledger topic sluice.ledger", "sluice.ledger2", "accept-cluster"),
        ),
        (
            {"code_location": "two"},
            "location",
            ("code location sluice", "code location two", "accept-location"),
        ),
        ({"folder": "elsewhere"}, "store", ("snapshot store", "elsewhere", "accept-store")),
    ],
)
def test_a_run_whose_settings_lead_elsewhere_is_refused_until_a_person_accepts(
    instance: dg.DagsterInstance, tmp_path: Path, other: dict[str, str], part: Part, named: tuple[str, ...]
) -> None:
    require_place(instance, place(tmp_path))
    folder = tmp_path / other.pop("folder", "")
    elsewhere = place(folder, **cast(Any, other))
    with pytest.raises(NotThisPlace) as refused:
        require_place(instance, elsewhere)
    assert all(part in str(refused.value) for part in named), refused.value
    for another in {"topic", "cluster", "store", "location"} - {part}:
        accept_place(instance, elsewhere, cast(Part, another))
        with pytest.raises(NotThisPlace):
            require_place(instance, elsewhere)
    accept_place(instance, elsewhere, part)
    assert place_changes(instance, elsewhere, part) == {}
    require_place(instance, elsewhere)
    with pytest.raises(NotThisPlace):
        require_place(instance, place(tmp_path))


def with_ledger(at: Platform, ledger: TopicNow) -> Platform:
    cast(Any, at).there = ledger
    return at


@pytest.mark.parametrize("now", [TopicNow("ledger-2", 16), TopicNow(None, 0)])
def test_a_ledger_that_was_deleted_between_runs_is_refused(
    instance: dg.DagsterInstance, tmp_path: Path, now: TopicNow
) -> None:
    """Otherwise every window would count as never published."""
    here = place(tmp_path)
    require_place(instance, with_ledger(here, TopicNow(None, 0)))  # the first run creates it
    lost = with_ledger(place(tmp_path), now)
    with pytest.raises(NotThisPlace, match="ledger of topic id ledger-1") as refused:
        require_place(instance, lost)
    assert "accept-cluster --all" in str(refused.value)
    accept_place(instance, lost, "cluster")
    require_place(instance, lost)
    # Brokers without ids cannot show it.
    require_place(instance, with_ledger(place(tmp_path), TopicNow(None, 16)))


def test_who_accepts_a_store_without_the_setting_of_a_cluster_does_not_accept_the_servers_of_a_first_look(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    require_place(instance, place(tmp_path))
    lost = place(tmp_path / "other", own=True)
    accept_place(instance, lost, "store")
    accept_place(instance, lost, "location")
    with pytest.raises(NotThisPlace, match="no Kafka is set"):
        require_place(instance, lost)


def test_from_the_servers_of_a_first_look_to_a_cluster_and_never_back(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    require_place(instance, place(tmp_path, "first", own=True))
    require_place(instance, place(tmp_path, "second", own=True))
    require_place(instance, place(tmp_path, "real"))
    # Embedded brokers all have the same id; they are distinguished by the fact that no Kafka is set.
    with pytest.raises(NotThisPlace, match="no Kafka is set") as refused:
        require_place(instance, place(tmp_path, "real", own=True))
    assert "real:9092" in str(refused.value)


def test_servers_of_a_first_look_are_for_one_machine(tmp_path: Path) -> None:
    class ElsewhereLauncher:
        pass

    with pytest.raises(NotThisPlace, match="DAGSTER_HOME is not set"):
        require_place(dg.DagsterInstance.ephemeral(), place(tmp_path, own=True))
    require_place(dg.DagsterInstance.ephemeral(), place(tmp_path))
    storage = SimpleNamespace(
        event_log_storage=object(), run_launcher=ElsewhereLauncher(), is_ephemeral=False
    )
    with pytest.raises(NotThisPlace, match="no local SQLite"):
        require_place(cast(Any, storage), place(tmp_path, own=True))
    with dg.instance_for_test() as made:
        launched = SimpleNamespace(
            event_log_storage=made.event_log_storage,
            run_launcher=ElsewhereLauncher(),
            is_ephemeral=False,
            daemon_cursor_storage=made.daemon_cursor_storage,
        )
        with pytest.raises(NotThisPlace, match="launched by ElsewhereLauncher"):
            require_place(cast(Any, launched), place(tmp_path, own=True))
        require_place(cast(Any, launched), place(tmp_path))
