"""`sluice verify` as a user runs it."""

import json
import re

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.pipelines.cli.conftest import Sluice

TOPIC = "flights.flight-cancelled.v1"


def cells(output: str, window: str) -> list[str]:
    (line,) = (line for line in output.splitlines() if line.startswith(window + "  "))
    return re.split(r"\s{2,}", line)[1:]


def test_verify_from_nothing_to_a_loss(sluice: Sluice, servers: dict[str, str]) -> None:
    before = sluice("verify", "flight_cancelled", "2013-01-01")
    assert (before.returncode, before.stderr) == (0, "")
    assert "has not been published yet" in before.stdout
    assert "Nothing has been published" in sluice("status").stdout, "looking makes no ledger"

    done = sluice("publish", "flight_cancelled", "2013-01-02..2013-01-03")
    assert done.returncode == 0, done.stderr
    assert "2013-01-02: reconciled: all 9 records are on the topic" in done.stderr

    found = sluice("verify", "flight_cancelled", "2013-01-01..2013-01-03")
    assert found.returncode == 0, found.stderr
    assert cells(found.stdout, "2013-01-01") == ["unpublished"] + ["-"] * 8
    assert cells(found.stdout, "2013-01-02")[:7] == ["agrees", "1", "9", "9", "0", "0", "0"]
    assert "Nothing is missing, altered or doubled." in found.stdout
    every = json.loads(sluice("verify", "flight_cancelled", "--json").stdout)
    assert [(row["window"], row["verdict"]) for row in every] == [
        ("2013-01-02", "agrees"),
        ("2013-01-03", "agrees"),
    ]

    # Replayed: each generation is read back, and so is a shadow topic.
    for to in ([], ["--to", "rehearsal"]):
        replayed = sluice("replay", "flight_cancelled", "2013-01-03", "--reason", "a test", *to)
        assert replayed.returncode == 0, replayed.stderr
    found = sluice("verify", "flight_cancelled", "2013-01-03")
    count = int(every[1]["expected"])
    assert cells(found.stdout, "2013-01-03")[:4] == ["agrees", "2", str(2 * count), str(2 * count)]
    assert cells(sluice("verify", "flight_cancelled", "--topic", "rehearsal").stdout, "2013-01-03")[:3] == [
        "agrees",
        "1",
        str(count),
    ]
    unknown = sluice("verify", "flight_cancelled", "--topic", "nowhere")
    assert "has not been replayed to nowhere yet" in unknown.stdout

    # The whole topic is lost and made again, with something else on it.
    admin = AdminClient({"bootstrap.servers": servers["SLUICE_KAFKA_BOOTSTRAP_SERVERS"]})
    admin.delete_topics([TOPIC])[TOPIC].result()
    producer = Producer({"bootstrap.servers": servers["SLUICE_KAFKA_BOOTSTRAP_SERVERS"]})
    gone = sluice("verify", "flight_cancelled", "2013-01-02")
    assert gone.returncode == 1
    assert f"topic {TOPIC}: is gone" in gone.stderr and "Traceback" not in gone.stderr
    assert cells(gone.stdout, "2013-01-02") == ["not known"] + ["-"] * 8

    producer.produce(TOPIC, b"not an event", b"key")
    assert producer.flush(30) == 0
    lost = sluice("verify", "flight_cancelled", "2013-01-02")
    assert lost.returncode == 1
    assert cells(lost.stdout, "2013-01-02")[:7] == ["differs", "1", "9", "0", "9", "0", "0"]
    assert "2013-01-02: of 9 records 9 missing: missing '" in lost.stdout
    assert "1 of 1 window differs" in lost.stdout
