"""A record of the ledger that cannot be read:
every command that finds it names it, and the others can still be read."""

import json

from confluent_kafka import Producer

from resources.kafka.topics.ledger_topic import ledger_partition
from tests.pipelines.cli.conftest import Sluice

TOPIC, WINDOW = "flights.flight-cancelled.v1", "2013-01-02"


def overwrite(servers: dict[str, str], key: str, value: bytes) -> None:
    """Write the newest record of a key, as anybody could."""
    producer = Producer({"bootstrap.servers": servers["SLUICE_KAFKA_BOOTSTRAP_SERVERS"]})
    producer.produce("sluice.ledger", value, key.encode(), partition=ledger_partition(key, 16))
    assert producer.flush(20) == 0


def test_commands_name_the_damaged_record_and_show_the_others(
    sluice: Sluice, servers: dict[str, str]
) -> None:
    published = sluice("publish", "flight_cancelled", "2013-01-01..2013-01-03")
    assert published.returncode == 0, published.stderr
    assert sluice("publish", "carrier_day_closed", "2013-01-01").returncode == 0
    sound = next(one for one in json.loads(sluice("status", "--json").stdout) if one["window"] == WINDOW)
    sound.pop("no_rows")  # not in the record itself
    key = f"{TOPIC}|{WINDOW}"
    overwrite(servers, key, json.dumps(sound | {"rows_done": 5}).encode())
    named = f"ledger record '{key}': cannot be read: status=published, and rows_done=5 of rows_total=9"

    status = sluice("status")
    assert status.returncode == 1 and named in status.stderr
    assert "flights/carrier_day_closed" in status.stdout and "flights/flight_cancelled" in status.stdout
    told = json.loads(sluice("status", "--json").stdout)
    assert next(one for one in told if one["status"] == "damaged")["key"] == key
    assert len([one for one in told if one["status"] == "published"]) == 3
    assert sluice("status", "carrier_day_closed").returncode == 0

    verified = sluice("verify", "flight_cancelled")
    assert verified.returncode == 1 and named in verified.stderr
    assert verified.stdout.count("agrees") == 2 and "not known" in verified.stdout

    planned = sluice("plan", "flight_cancelled", "2013-01-01..2013-01-03")
    assert planned.returncode == 1 and named in planned.stderr
    for command in (
        ("publish", "flight_cancelled", "2013-01-01..2013-01-03"),
        ("replay", "flight_cancelled", WINDOW, "--reason", "damaged"),
        ("redrive", "flight_cancelled", WINDOW, "--reason", "damaged"),
    ):
        run = sluice(*command)
        assert run.returncode == 1 and named.split(": cannot")[0] in run.stderr, (command, run.stderr)
        assert "Traceback" not in run.stderr
    doctor = sluice("doctor")
    assert doctor.returncode == 1 and "rows_done=5" in doctor.stdout

    overwrite(servers, key, json.dumps(sound).encode())
    assert sluice("status").returncode == 0
