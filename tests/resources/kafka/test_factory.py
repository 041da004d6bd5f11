"""Client settings: the user's properties pass through, ours are refused by name, secrets stay hidden."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from resources.errors import TransientError
from resources.kafka.errors import KafkaRefused
from resources.kafka.factory import admin, consumer, producer, producer_config, transaction_timeout_ms
from resources.settings import Settings, load_settings


def settings(tmp_path: Path, **kafka: str) -> Settings:
    loaded = load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    return replace(loaded, kafka={**loaded.kafka, **{k.replace("_", "."): v for k, v in kafka.items()}})


@pytest.mark.parametrize("make", [lambda s: producer(s, "id"), consumer, admin])
def test_an_unknown_property_is_named(tmp_path: Path, make: object) -> None:
    with pytest.raises(KafkaRefused, match=r'No such configuration property: "sasl\.pasword"') as caught:
        make(settings(tmp_path, sasl_pasword="hunter2"))
    assert "hunter2" not in str(caught.value)
    assert not isinstance(caught.value, TransientError)


def test_a_wrong_value_is_named(tmp_path: Path) -> None:
    with pytest.raises(KafkaRefused, match='Invalid value "zip" for configuration property "compression'):
        producer(settings(tmp_path, compression_type="zip"), "id")
    with pytest.raises(KafkaRefused, match=r"oauth_cb"):
        admin(replace(settings(tmp_path), kafka={"bootstrap.servers": "x:1", "oauth_cb": "hello"}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("acks", "1"),
        ("request.required.acks", "1"),
        ("enable.idempotence", "false"),
        ("transactional.id", "mine"),
        ("partitioner", "random"),
        ("isolation.level", "read_uncommitted"),
    ],
)
def test_what_the_promise_rests_on_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    for make in (lambda s: producer(s, "id"), consumer, admin):
        with pytest.raises(KafkaRefused, match=rf"kafka\.{name}: is fixed by Sluice: "):
            make(replace(settings(tmp_path), kafka={"bootstrap.servers": "x:1", name: value}))


@pytest.mark.parametrize("timeout_ms", ["5000", "10000", "30000", "45000", "60000", "600000"])
def test_a_transaction_timeout_of_the_users_needs_no_other_setting(tmp_path: Path, timeout_ms: str) -> None:
    """librdkafka refuses a message.timeout.ms above transaction.timeout.ms, which the user never set."""
    assert transaction_timeout_ms(settings(tmp_path, transaction_timeout_ms=timeout_ms)) == int(timeout_ms)
    producer(settings(tmp_path, transaction_timeout_ms=timeout_ms), "id")


def test_transactions_may_not_be_planned_longer_than_the_brokers_leave_them(tmp_path: Path) -> None:
    with pytest.raises(KafkaRefused, match=r"transaction_seconds=30.*at most half"):
        producer(replace(settings(tmp_path), transaction_seconds=30), "id")
    with pytest.raises(KafkaRefused, match="'soon' is not a whole number"):
        producer(settings(tmp_path, transaction_timeout_ms="soon"), "id")


def test_properties_of_one_kind_of_client_do_not_trouble_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mixed = settings(
        tmp_path,
        linger_ms="50",
        compression_type="zstd",
        batch_size="1000",
        fetch_min_bytes="10",
        sasl_username="me",
        sasl_password="hunter2",
        ssl_key_password="hunter2",
    )
    with caplog.at_level(logging.DEBUG):
        for make in (lambda s: producer(s, "id"), consumer, admin):
            client = make(mixed)
            poll = getattr(client, "poll", None)
            if poll is not None:
                poll(0.1)
    assert "hunter2" not in caplog.text
    assert "is a producer property" not in caplog.text
    assert "is a consumer property" not in caplog.text


def test_few_records_do_not_wait_for_others_unless_the_settings_say_so(tmp_path: Path) -> None:
    assert producer_config(settings(tmp_path), "id")["linger.ms"] == "5"
    assert producer_config(settings(tmp_path), "id", few=True)["linger.ms"] == "0"
    assert producer_config(settings(tmp_path, linger_ms="50"), "id", few=True)["linger.ms"] == "50"
