"""`sluice history`: what the commands have done to an event, in time order."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from pipelines.cli.actions import history
from pipelines.cli.commands.history import command
from pipelines.history.history import History
from resources.kafka.topics.ledger_topic import ledger_partition
from tests.pipelines.cli.conftest import Sluice

EVENT, TOPIC = "flights/flight_cancelled", "flights.flight-cancelled.v1"


def lines(sluice: Sluice, *arguments: str) -> list[dict[str, Any]]:
    told = sluice("history", *arguments, "--json")
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    assert found["topic"] == TOPIC
    happenings: list[dict[str, Any]] = found["happenings"]
    return happenings


def test_an_event_from_its_first_check_to_its_replay(
    sluice: Sluice, tree: Path, servers: dict[str, str]
) -> None:
    assert sluice("check", "flight_cancelled").returncode == 0
    assert sluice("register", "flight_cancelled").returncode == 0
    assert sluice("publish", "flight_cancelled", "2013-01-01..2013-01-03").returncode == 0
    replay = sluice("replay", "flight_cancelled", "2013-01-02", "--reason", "billing lost it", "--by", "me")
    assert replay.returncode == 0
    _odd_records(servers)
    # The module is removed: its topic and its names still lead to the event.
    module = tree / "assets/flights/flight_cancelled.py"
    text = module.read_text()
    module.unlink()
    try:
        checked, registered, backfill, replayed = lines(sluice, "flight_cancelled")
        unknown = sluice("history", "flight_canceled")
        assert unknown.returncode == 1 and "Did you mean 'flights/flight_cancelled'?" in unknown.stderr
    finally:
        module.write_text(text)
    assert [checked["what"], registered["what"]] == ["checked", "registered"]
    assert [backfill["what"], replayed["what"]] == ["backfill", "replay"]
    assert checked["by"] and checked["details"]["code_version"] == backfill["code_version"]
    assert (
        registered["details"]["during"] == "register"
        and registered["details"]["schema_id"] == backfill["schema_id"]
    )
    # One of the three is now a replay; its first generation is still in the line.
    assert (backfill["windows"], backfill["first_window"], backfill["last_window"]) == (
        3,
        "2013-01-01",
        "2013-01-03",
    )
    assert (replayed["reason"], replayed["by"], replayed["windows"]) == ("billing lost it", "me", 1)

    shown = sluice("history", TOPIC, "--since", backfill["at"], "--last", "1")
    assert shown.returncode == 0 and "Traceback" not in shown.stderr
    assert f"{EVENT} on {TOPIC}" in shown.stdout and "billing lost it" in shown.stdout
    assert "checked" not in shown.stdout and "3 older lines not shown" in shown.stdout
    assert (
        shown.stderr.count("Not shown: journal record of") == 3
        and "5 records that cannot be read" in shown.stderr
    )


def test_since_is_a_day_or_an_instant() -> None:
    wrong = CliRunner().invoke(command, ["flight_cancelled", "--since", "yesterday"])
    assert wrong.exit_code == 2 and "neither a day nor an instant" in wrong.output
    for text in ("0001-01-01T00:00+23:00", "9999-12-31T23:00-23:00"):
        outside = CliRunner().invoke(command, ["flight_cancelled", "--since", text])
        assert outside.exit_code == 2 and "is not in the years 1 to 9999 in UTC" in outside.output


def test_a_forged_name_prints_no_line_of_its_own_and_many_names_are_cut(
    capsys: pytest.CaptureFixture[str],
) -> None:
    forged = "tests/a\n2024-01-01 00:00:00  accepted"
    names = (EVENT, forged, *(f"tests/e{n}" for n in range(100)))
    history._show(History("happened.v1\nforged", names, ()), EVENT, None)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 and printed[0] == f"{EVENT} on happened.v1\\nforged"
    assert printed[1].startswith("also called: tests/a\\n2024-01-01") and printed[1].endswith(" and 77 more")


def _odd_records(servers: dict[str, str]) -> None:
    odd = Producer({"bootstrap.servers": servers["SLUICE_KAFKA_BOOTSTRAP_SERVERS"]})
    for value in (b"odd", None, b'{"v":1}', b"[" * 100_000, b"\xff"):
        odd.produce("sluice.ledger.journal", value, TOPIC.encode(), partition=ledger_partition(TOPIC, 16))
    odd.flush(30)


def test_an_acceptance_is_recorded_before_it_is_carried_out(
    sluice: Sluice, servers: dict[str, str], tmp_path: Path
) -> None:
    name = "flight_cancelled"
    (Path(servers["SLUICE_HOME"]) / "snapshots" / ".store.json").rename(tmp_path / "old.json")
    admin = AdminClient({"bootstrap.servers": servers["SLUICE_KAFKA_BOOTSTRAP_SERVERS"]})
    admin.delete_topics(["sluice.ledger.journal"])["sluice.ledger.journal"].result()
    accept = ("ledger", "accept-store", name, "--reason", "restored", "--by", "me", "--yes")
    refused = sluice(*accept, SLUICE_CREATE_TOPICS="false")
    assert refused.returncode == 1 and "nothing was changed" in refused.stderr, refused.stderr
    assert "kafka-topics.sh" in refused.stderr and "sluice.ledger.journal" in refused.stderr
    assert (
        sluice("ledger", "accept-store", name, "--reason", "restored").stdout.count("accepted in its place")
        == 1
    )

    assert sluice(*accept).returncode == 0
    (accepted,) = [one for one in lines(sluice, name) if one["what"] == "accepted"]
    assert (accepted["source"], accepted["reason"], accepted["by"]) == ("journal", "restored", "me")
    assert accepted["what"] == "accepted" and accepted["details"]["what"] == "store"
    assert accepted["windows"] == 3
