"""Why brokers do not answer: TLS on one side only, a certificate that is not valid, addresses that cannot be
reached."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.kinds.embedded_broker import EmbeddedBroker
from resources.dev.servers.ports import free_ports
from resources.errors import SluiceError
from resources.kafka.connecting import logins
from resources.kafka.connecting.diagnosis import diagnose
from resources.kafka.errors import KafkaRefused, KafkaUnavailable
from resources.kafka.topics.cluster import describe
from resources.kafka.transactions import TransactionalProducer
from resources.settings import load_settings
from tests.certificates import make_certificates
from tests.fixtures_servers import KafkaServer, own_server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on this machine; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(5)
                    with suppress(OSError):
                        serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


@contextmanager
def tls(certificate: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    with listening(serve) as address:
        yield address


def plain_kafka(connection: socket.socket) -> None:
    """As Kafka does: answers ApiVersions, but closes the connection on a TLS handshake."""
    asked = connection.recv(14)
    if len(asked) == 14 and asked[4:6] == b"\x00\x12":
        connection.sendall(b"\x00\x00\x00\x0a" + asked[8:12] + b"\x00" * 6)


def nobody(_: float) -> dict[int, tuple[str, int]]:
    raise RuntimeError("no metadata")


def diagnosed(address: str, **properties: str) -> SluiceError | None:
    return diagnose(
        {
            "bootstrap.servers": address,
            **{name.replace("_", "."): value for name, value in properties.items()},
        },
        nobody,
    )


@pytest.mark.parametrize(
    ("certificate", "authority", "said", "step"),
    [
        ("expired", "ca", "certificate has expired", "renewed"),
        ("early", "ca", "certificate is not yet valid", "clock"),
        ("elsewhere", "ca", "IP address mismatch", "a name of the certificate"),
        ("valid", "stranger", "unable to get local issuer certificate", "ssl.ca.location"),
    ],
)
def test_a_certificate_that_is_not_valid_is_named_with_the_reason(
    certificates: dict[str, Path], certificate: str, authority: str, said: str, step: str
) -> None:
    with tls(certificates[certificate]) as address:
        found = diagnosed(address, security_protocol="SASL_SSL", ssl_ca_location=str(certificates[authority]))
    assert isinstance(found, KafkaRefused)
    assert f"the certificate of {address} is not valid here" in found.problem and said in found.problem
    assert step in (found.next_step or "")


def test_a_valid_certificate_is_no_cause(certificates: dict[str, Path]) -> None:
    with tls(certificates["valid"]) as address:
        assert diagnosed(address, security_protocol="ssl", ssl_ca_location=str(certificates["ca"])) is None
        # What the client must not check is not a cause either.
        assert (
            diagnosed(address, security_protocol="ssl", enable_ssl_certificate_verification="false") is None
        )
    with tls(certificates["elsewhere"]) as address:
        unnamed = {
            "ssl_endpoint_identification_algorithm": "none",
            "ssl_ca_location": str(certificates["ca"]),
        }
        assert diagnosed(address, security_protocol="ssl", **unnamed) is None


@pytest.mark.parametrize("protocol", ["plaintext", "SASL_PLAINTEXT", None])
def test_a_plaintext_client_at_a_tls_listener(certificates: dict[str, Path], protocol: str | None) -> None:
    with tls(certificates["expired"]) as address:
        found = diagnosed(address, **({"security_protocol": protocol} if protocol else {}))
    assert (
        isinstance(found, KafkaRefused) and f"{address} speaks TLS, and security.protocol is" in found.problem
    )


@pytest.mark.parametrize("protocol", ["ssl", "SASL_SSL"])
def test_a_tls_client_at_a_plaintext_listener(certificates: dict[str, Path], protocol: str) -> None:
    with listening(plain_kafka) as address:
        found = diagnosed(address, security_protocol=protocol, ssl_ca_location=str(certificates["ca"]))
        assert diagnosed(address) is None
    assert isinstance(found, KafkaRefused) and f"{address} speaks plaintext" in found.problem


def test_what_neither_speaks_kafka_nor_tls_is_not_explained(certificates: dict[str, Path]) -> None:
    with listening(lambda connection: connection.close()) as address:
        assert diagnosed(address) is None
        assert diagnosed(address, security_protocol="ssl", ssl_ca_location=str(certificates["ca"])) is None
    assert diagnosed("127.0.0.1:1") is None
    assert diagnosed("") is None
    assert diagnosed("no.such.name.invalid:9092,nonsense,[::1]:1") is None
    assert diagnosed(address, security_protocol="ssl", ssl_ca_location="/no/such/file") is None


def brokers(*addresses: tuple[str, int]) -> Callable[[float], dict[int, tuple[str, int]]]:
    return lambda _: dict(enumerate(addresses, start=1))


def test_addresses_that_the_brokers_call_themselves_are_named_where_none_can_be_reached() -> None:
    (closed,) = free_ports(1)
    found = diagnose({"bootstrap.servers": "k:9092"}, brokers(("kafka.invalid", 9092), ("127.0.0.1", closed)))
    assert isinstance(found, KafkaRefused) and found.where == "Kafka k:9092"
    assert found.problem == (
        "the brokers call themselves kafka.invalid:9092, which does not resolve here, "
        f"127.0.0.1:{closed}, which cannot be reached from here: connection refused (advertised.listeners)"
    )


def test_one_broker_of_several_that_cannot_be_reached_may_be_down() -> None:
    with listening(plain_kafka) as address:
        port = int(address.rpartition(":")[2])
        found = diagnose({}, brokers(("127.0.0.1", port), ("kafka.invalid", 9092)))
        assert diagnose({}, brokers(("127.0.0.1", port))) is None
    assert isinstance(found, KafkaUnavailable)
    assert "broker 2 calls itself kafka.invalid:9092, which does not resolve here" in found.problem
    assert "1 of 2 brokers can be reached" in found.problem


@pytest.mark.parametrize("protocol", ["plaintext", "ssl"])
@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", KafkaRefused, "answers here, but not as a broker does"),
        (b"", KafkaUnavailable, "takes connections here but does not answer"),
    ],
)
def test_an_advertised_address_where_no_broker_answers_is_named(
    protocol: str, answer: bytes, kind: type[SluiceError], said: str
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer)

    with listening(serve) as address:
        port = int(address.rpartition(":")[2])
        found = diagnose({"security.protocol": protocol}, brokers(("127.0.0.1", port)))
    assert type(found) is kind
    assert found.problem == f"the brokers call themselves {address}, which {said} (advertised.listeners)"


class Misnamed(ApacheKafka):
    """Advertises a host name that no machine has."""

    name = "kafka-misnamed"

    def not_ready(self, folder: Path, ports: object) -> str | None:  # noqa: ARG002
        log = folder / "kafka.log"
        return None if "Kafka Server started" in log.read_text() else "its start"


def test_a_real_broker_that_calls_itself_otherwise_is_told_so_by_every_way_to_it(
    real_kafka: None,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    wrong = {"advertised.listeners": "PLAINTEXT://kafka.invalid:9092"}
    with own_server(KafkaServer, Misnamed(wrong), tmp_path_factory) as handle:
        address = f"127.0.0.1:{handle.running.ports[0]}"
        settings = load_settings({"SLUICE_HOME": str(tmp_path), "SLUICE_KAFKA_BOOTSTRAP_SERVERS": address})
        named = r"the brokers call themselves kafka\.invalid:9092, which does not resolve here \(advertised"
        with pytest.raises(KafkaRefused, match=named):
            describe(settings, ["x"])
        with (
            TransactionalProducer(settings, "x", event="e", window="w", topic="x") as producer,
            pytest.raises(KafkaRefused, match=named),
        ):
            producer.claim()


def test_the_brokers_of_a_plaintext_listener_are_not_taken_for_a_slow_one(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, certificates: dict[str, Path]
) -> None:
    with own_server(KafkaServer, EmbeddedBroker(), tmp_path_factory) as handle:
        settings = load_settings(
            {
                "SLUICE_HOME": str(tmp_path),
                "SLUICE_KAFKA_BOOTSTRAP_SERVERS": handle.bootstrap,
                "SLUICE_KAFKA_SECURITY_PROTOCOL": "SSL",
                "SLUICE_KAFKA_SSL_CA_LOCATION": str(certificates["ca"]),
            }
        )
        with pytest.raises(KafkaRefused, match=r"speaks plaintext, and security\.protocol is SSL"):
            describe(settings, ["x"])


def test_a_look_that_found_nothing_is_not_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([None, KafkaRefused("Kafka x", "the brokers call themselves y")])
    monkeypatch.setattr(logins, "diagnose", lambda *_: next(looks))
    client = logins.Admin({"bootstrap.servers": "127.0.0.1:1", "log_level": "0"})
    assert not client.hopeless()
    told = client.explained("Kafka x", KafkaError(KafkaError._TIMED_OUT))
    assert isinstance(told, KafkaRefused) and "call themselves y" in str(told)
