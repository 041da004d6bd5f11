"""Producing and reading back with the logins of production, in both ways: SASL over TLS and mutual TLS; and a
login that is wrong."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pyarrow as pa
import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from resources import c_library
from resources.dev.servers.ports import LOOPBACK
from resources.kafka.batches.rows import Rows
from resources.kafka.connecting import logins
from resources.kafka.connecting.logins import Login
from resources.kafka.errors import KafkaRefused
from resources.kafka.factory import admin, batch_reader
from resources.kafka.topics.topics import describe_topic
from resources.kafka.transactions import TransactionalProducer
from resources.settings import Settings, load_settings
from tests.fixtures_servers import KafkaServer, own_server
from tests.matrix import one_of
from tests.resources.kafka.tls_kafka import PASSWORD, USER, TlsKafka, token_endpoint


@pytest.fixture(scope="module")
def broker(real_kafka: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:  # noqa: ARG001
    with own_server(KafkaServer, TlsKafka(), tmp_path_factory) as handle:
        admin = AdminClient({"bootstrap.servers": handle.bootstrap})
        admin.create_topics([NewTopic("events", 3, 1)])["events"].result()
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        upsertion = UserScramCredentialUpsertion(USER, scram, PASSWORD.encode())
        admin.alter_user_scram_credentials([upsertion])[USER].result()
        yield handle


@pytest.fixture(params=one_of("native", "public"))
def way(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def settings(broker: KafkaServer, tmp_path: Path, way: str, port: int, **kafka: str) -> Settings:
    loaded = load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_PRODUCING": way})
    more = {name.replace("_", "."): value for name, value in kafka.items()}
    more["ssl.ca.location"] = more.get("ssl.ca.location", str(broker.folder / "ca.pem"))
    return replace(loaded, kafka={"bootstrap.servers": f"{LOOPBACK}:{broker.running.ports[port]}", **more})


def login(broker: KafkaServer, tmp_path: Path, way: str, **kafka: str) -> Settings:
    return settings(broker, tmp_path, way, 2, security_protocol="SASL_SSL", **kafka)


def publish(found: Settings, way: str) -> None:
    keys = pa.array([b"%d" % n for n in range(5000)], pa.binary())
    with TransactionalProducer(found, "logins", event="e", window="w", topic="events") as producer:
        assert producer.way == way
        producer.claim()
        producer.begin()
        producer.produce_rows("events", Rows(keys, keys.cast(pa.large_binary())))
        producer.await_acknowledgements()
        assert producer.commit().records == 5000
    read_back(found, way)


def read_back(found: Settings, way: str) -> None:
    reader = batch_reader(found)
    # Without the compiled library there is only one way to read.
    assert reader.way == way or c_library.library() is None
    try:
        reader.look_up("events", 15)
        reader.assign("events", dict.fromkeys(range(3), 0))
        ended, records, deadline = set[int](), 0, time.monotonic() + 60
        # A partition may seem to end before the commit's marker is written.
        while (len(ended) < 3 or records < 5000) and time.monotonic() < deadline:
            batch = reader.next(1000, 0.2)
            records, ended = records + len(batch), ended | set(batch.ends)
        assert len(ended) == 3 and records >= 5000
    finally:
        reader.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_a_password_over_tls(broker: KafkaServer, tmp_path: Path, way: str, mechanism: str) -> None:
    user = {"sasl_username": USER, "sasl_password": PASSWORD}
    publish(login(broker, tmp_path, way, sasl_mechanism=mechanism, **user), way)


def test_certificates_on_both_sides(broker: KafkaServer, tmp_path: Path, way: str) -> None:
    client = str(broker.folder / "client.pem")
    tls = {"ssl_certificate_location": client, "ssl_key_location": client}
    publish(settings(broker, tmp_path, way, 3, security_protocol="SSL", **tls), way)


def test_tokens_of_an_oauth_server(broker: KafkaServer, tmp_path: Path, way: str) -> None:
    with token_endpoint() as (url, asked):
        found = login(
            broker,
            tmp_path,
            way,
            sasl_mechanism="OAUTHBEARER",
            sasl_oauthbearer_method="oidc",
            sasl_oauthbearer_client_id="sluice",
            sasl_oauthbearer_client_secret="secret",
            sasl_oauthbearer_scope="kafka",
            sasl_oauthbearer_token_endpoint_url=url,
        )
        publish(found, way)
        assert asked


def test_a_login_that_is_refused_is_told_as_such_and_soon(
    broker: KafkaServer, tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """For librdkafka a wrong password is one more failed connection, which it tries again."""
    wrong = {"sasl_mechanism": "PLAIN", "sasl_username": USER, "sasl_password": "wrong"}
    found = login(broker, tmp_path, way, **wrong)
    for attempt in (lambda: publish(found, way), lambda: describe_topic(found, "events")):
        started = time.monotonic()
        with pytest.raises(
            KafkaRefused, match=r"refused the login or its certificate: .*Invalid username or password"
        ):
            attempt()
        assert time.monotonic() - started < 14
    assert "Invalid username or password" in caplog.text


def test_a_certificate_that_is_not_trusted_is_told_as_such(broker: KafkaServer, tmp_path: Path) -> None:
    strange = {"sasl_mechanism": "PLAIN", "sasl_username": USER, "sasl_password": PASSWORD}
    found = login(broker, tmp_path, "auto", ssl_ca_location=str(broker.folder / "stranger.pem"), **strange)
    with pytest.raises(KafkaRefused, match=r"the certificate of .* is not valid here"):
        describe_topic(found, "events")


@pytest.mark.parametrize(
    ("told", "refused"),
    [
        ([(KafkaError._AUTHENTICATION, "Invalid username")], True),
        ([(KafkaError._AUTHENTICATION, "Invalid username"), (KafkaError._ALL_BROKERS_DOWN, "1/1")], True),
        ([(KafkaError._AUTHENTICATION, "Disconnected"), (KafkaError._TRANSPORT, "refused")], False),
        ([(KafkaError._SSL, "handshake failed: Disconnected")], False),
        ([(KafkaError._SSL, "certificate verify failed")], True),
    ],
)
def test_brokers_that_go_away_refuse_no_login(told: list[tuple[int, str]], refused: bool) -> None:
    heard = Login()
    for code, text in told:
        heard(KafkaError(code, text))
    assert (heard.refused is not None) is refused


def test_a_refusal_of_the_past_is_no_reason_for_a_slow_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "_PATIENCE_SECONDS", 0.0)
    client = admin(
        load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    )
    refused = KafkaError(KafkaError._AUTHENTICATION, "Invalid username")
    # The client reports nothing by itself:
    # otherwise it would soon report that nothing listens at this address.
    monkeypatch.setattr(client, "poll", lambda _: 0)
    client._login(refused)
    unanswered = Future[int]()
    long = Timer(20, unanswered.set_result, (0,))
    long.start()
    with pytest.raises(KafkaException, match="Invalid username"):
        client.answer(unanswered)
    long.cancel()
    answered, slow = Future[int](), Future[int]()
    answered.set_result(1)
    assert client.answer(answered) == 1
    client._login(refused)
    Timer(0.6, slow.set_result, (2,)).start()
    assert client.answer(slow) == 2


@pytest.mark.parametrize(
    ("port", "protocol", "said"),
    [
        (2, "PLAINTEXT", r"speaks TLS, and security\.protocol is PLAINTEXT"),
        (3, "SASL_PLAINTEXT", r"speaks TLS, and security\.protocol is SASL_PLAINTEXT"),
        (0, "SSL", r"speaks plaintext, and security\.protocol is SSL"),
        (0, "SASL_SSL", r"speaks plaintext, and security\.protocol is SASL_SSL"),
    ],
)
def test_tls_on_one_side_only_is_named_as_that(
    broker: KafkaServer, tmp_path: Path, way: str, port: int, protocol: str, said: str
) -> None:
    user = {"sasl_mechanism": "PLAIN", "sasl_username": USER, "sasl_password": PASSWORD}
    found = settings(broker, tmp_path, way, port, security_protocol=protocol, **user)
    with pytest.raises(KafkaRefused, match=said):
        describe_topic(found, "events")


def test_a_rotated_password_is_used_by_the_next_client(broker: KafkaServer, tmp_path: Path, way: str) -> None:
    """The settings belong to a running process: they are not read again."""
    operator = AdminClient({"bootstrap.servers": broker.bootstrap})
    user, file = f"rotated-{way}", tmp_path / "password"

    def rotate(password: str) -> None:
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        upsertion = UserScramCredentialUpsertion(user, scram, password.encode())
        operator.alter_user_scram_credentials([upsertion])[user].result()

    rotate("before-the-rotation")
    file.write_text("before-the-rotation\n")
    found = load_settings(
        {
            "SLUICE_HOME": str(tmp_path),
            "SLUICE_PRODUCING": way,
            "SLUICE_KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{broker.running.ports[2]}",
            "SLUICE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "SLUICE_KAFKA_SSL_CA_LOCATION": str(broker.folder / "ca.pem"),
            "SLUICE_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "SLUICE_KAFKA_SASL_USERNAME": user,
            "SLUICE_KAFKA_SASL_PASSWORD_FILE": str(file),
        }
    )
    publish(found, way)
    rotate("behind-the-rotation")
    with pytest.raises(KafkaRefused, match="refused the login"):
        describe_topic(found, "events")
    file.write_text("behind-the-rotation\n")
    publish(found, way)
