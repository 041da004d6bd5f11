"""A contract that says TODO is registered in the embedded registry with a warning,
and in no other registry."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from resources.registry import ConfluentRegistry
from tests.pipelines.cli.conftest import Sluice

ASK = "TODO: what this is, and its unit."
SUBJECT = "flights.flight-cancelled.v1-value"
DAY = "2013-01-02"


@pytest.fixture
def unfinished(tree: Path) -> None:
    """The contract of flight_cancelled as in a draft, with TODO in two docs."""
    path = tree / "assets" / "flights" / "flight_cancelled.avsc"
    schema = json.loads(path.read_text())
    schema["doc"] = "TODO: what happened."
    schema["fields"][0]["doc"] = ASK
    path.write_text(json.dumps(schema))


@pytest.fixture
def own_registry(servers: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A home in which `sluice up` started the registry that the settings name."""
    url = servers["SLUICE_REGISTRY_URL"].replace("127.0.0.1", "localhost")
    state = {"registry_url": url, "servers": {"registry": {"kind": "embedded"}}}
    (tmp_path / "servers.json").write_text(json.dumps(state))
    return {"SLUICE_HOME": str(tmp_path)}


def _registered(servers: dict[str, str]) -> bool:
    with closing(ConfluentRegistry({"url": servers["SLUICE_REGISTRY_URL"]})) as registry:
        return registry.latest(SUBJECT) is not None


@pytest.mark.usefixtures("unfinished")
def test_a_contract_that_says_todo_is_refused_and_on_the_embedded_registry_warned_about(
    sluice: Sluice, servers: dict[str, str], own_registry: dict[str, str]
) -> None:
    named = "flight_cancelled.avsc still says TODO of record FlightCancelled, flight_id"

    checked = sluice("check", "flight_cancelled", DAY)
    assert (checked.returncode, checked.stdout.count(named)) == (0, 2), checked.stdout + checked.stderr
    assert (
        "1 warning" in checked.stdout
        and "refuse it on a registry that is not the embedded one" in checked.stdout
    )
    offline = sluice("check", "flight_cancelled", "--offline", "--json")
    (report,) = json.loads(offline.stdout)
    assert [one["level"] for one in report["findings"] if named in one["told"]] == ["warning"]

    refused = sluice("register", "flight_cancelled")
    assert refused.returncode == 1 and named in refused.stdout and "refused" in refused.stdout
    published = sluice("publish", "flight_cancelled", DAY)
    assert published.returncode != 0 and named in published.stdout + published.stderr
    assert not _registered(servers), "nothing reached the registry"
    assert sluice("tail", "flight_cancelled").returncode == 1, "and nothing the topic"

    published = sluice("publish", "flight_cancelled", DAY, **own_registry)
    assert published.returncode == 0 and named in published.stdout + published.stderr
    again = sluice("register", "flight_cancelled", **own_registry)
    assert again.returncode == 0 and named in again.stdout and "already there" in again.stdout
    assert _registered(servers)

    # Whoever registered it before: consumers of this registry would get more events with it.
    for refused in (sluice("register", "flight_cancelled"), sluice("publish", "flight_cancelled", DAY)):
        assert refused.returncode != 0 and named in refused.stdout + refused.stderr
