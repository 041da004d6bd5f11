"""Why a client gets no answer from its bootstrap address: what listens there, and which
addresses the brokers advertise.

librdkafka retries for ever and reports a request that timed out. Three causes do not end without a
change of settings, and librdkafka reports them all in the same way: one side uses TLS and the other
side does not; the broker's certificate is not valid here; the brokers answer, but the addresses that
they advertise (`advertised.listeners`) cannot be reached from this machine. Each cause is found within
seconds by another connection.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from resources.errors import SluiceError
from resources.kafka.errors import KafkaRefused, KafkaUnavailable
from resources.security.tls import any_certificate, connected, handshake, judging, next_for, speaks_tls
from resources.wording import counted

_SECONDS = 3.0
_MOST_ADDRESSES = 8
_NO_ANSWER = f"does not answer within {_SECONDS:g} s"
_SILENT = "takes connections here but does not answer"
# A proxy, a gateway or another program listens there.
_NO_BROKER = "answers here, but not as a broker does"
# ApiVersions, version 0, which every broker answers before any login (KIP-35): length, api, version, correlation, client.
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)
_NEXT_LISTENER = "have advertised.listeners of the brokers name an address that this machine reaches, or make the name resolve here"

Metadata = Callable[[float], Mapping[int, tuple[str, int]]]
"""The brokers' own addresses by broker id, as the cluster reports them within this many seconds.
Raises the client's errors."""


@dataclass(frozen=True)
class Address:
    """Where a broker listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def diagnose(config: Mapping[str, str], metadata: Metadata) -> SluiceError | None:
    """Why a client with these properties of librdkafka gets no answer; None if
    it is none of the causes above.

    Returns KafkaRefused if the cause stays until somebody changes a setting, KafkaUnavailable if it may pass.
    """
    where = f"Kafka {config.get('bootstrap.servers', '')}"
    for address, trouble in _reached(_addresses(config)).items():
        if trouble is None and (found := _of_listener(where, address, config)) is not None:
            return found
    try:
        brokers = {number: Address(*one) for number, one in metadata(_SECONDS).items()}
    except Exception:  # after any error there is no answer to check
        return None
    return _of_brokers(where, brokers, config)


def _of_brokers(where: str, brokers: Mapping[int, Address], config: Mapping[str, str]) -> SluiceError | None:
    reached = _reached(brokers.values())
    answering = _tried(
        [one for one, trouble in reached.items() if trouble is None],
        lambda one: _broker_trouble(one, config),
        _SILENT,
    )
    reached |= answering
    away = {number: (one, reached[one]) for number, one in sorted(brokers.items()) if reached[one]}
    if not away:
        return None
    if len(away) == len(brokers):
        # One of the brokers has just answered, at another address.
        told = ", ".join(f"{address}, which {trouble}" for address, trouble in dict.fromkeys(away.values()))
        # A broker that is too busy also takes connections without an answer.
        kind = KafkaUnavailable if _SILENT in answering.values() else KafkaRefused
        return kind(
            where, f"the brokers call themselves {told} (advertised.listeners)", next_step=_NEXT_LISTENER
        )
    told = ", ".join(
        f"broker {number} calls itself {address}, which {trouble}"
        for number, (address, trouble) in away.items()
    )
    return KafkaUnavailable(
        where,
        f"{told} (advertised.listeners); {len(brokers) - len(away)} of {counted(len(brokers), 'broker')} can be reached",
        next_step=f"if it runs, {_NEXT_LISTENER}",
    )


def _addresses(config: Mapping[str, str]) -> list[Address]:
    found = []
    for one in config.get("bootstrap.servers", "").split(","):
        host, _, port = one.strip().rpartition("://")[2].rpartition(":")
        if host and port.isdecimal():
            found.append(Address(host.strip("[]"), int(port)))
    return found[:_MOST_ADDRESSES]


def _reached(addresses: Iterable[Address]) -> dict[Address, str | None]:
    """What is wrong with each address; None if something listens there. All addresses
    are tried at the same time."""
    return _tried(addresses, _connection_trouble, _NO_ANSWER)


def _tried(
    addresses: Iterable[Address], trouble_of: Callable[[Address], str | None], in_time: str
) -> dict[Address, str | None]:
    """What `trouble_of` returns for each address; `in_time` if it does not return in time."""
    wanted = list(dict.fromkeys(addresses))
    found: dict[Address, str | None] = dict.fromkeys(wanted, in_time)

    def look(address: Address) -> None:
        found[address] = trouble_of(address)

    # Daemon threads: a name server that does not answer must not keep the process alive.
    threads = [threading.Thread(target=look, args=(one,), daemon=True) for one in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_SECONDS)
    return dict(found)


def _connection_trouble(address: Address) -> str | None:
    try:
        connected(address.host, address.port).close()
    except (socket.gaierror, UnicodeError):
        return "does not resolve here"
    except TimeoutError:
        return _NO_ANSWER
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        return f"cannot be reached from here: {reason[0].lower()}{reason[1:]}"
    return None


def _of_listener(where: str, address: Address, config: Mapping[str, str]) -> SluiceError | None:
    """What is wrong with TLS at an address where something listens."""
    protocol = config.get("security.protocol", "plaintext")
    if "ssl" in protocol.lower():
        try:
            trouble = handshake(address.host, address.port, _context(config))
        except (OSError, ValueError):  # a file that does not exist; librdkafka itself reports it
            return None
        if isinstance(trouble, ssl.SSLCertVerificationError):
            return KafkaRefused(
                where,
                f"the certificate of {address} is not valid here: {trouble.verify_message}",
                next_step=next_for(trouble, "ssl.ca.location"),
            )
        if trouble is not None and _speaks_kafka(address):
            return KafkaRefused(
                where,
                f"{address} speaks plaintext, and security.protocol is {protocol}: no TLS there",
                next_step="set the port of the TLS listener in bootstrap.servers, or set security.protocol to plaintext or "
                "sasl_plaintext",
            )
        return None
    if not _speaks_kafka(address) and speaks_tls(address.host, address.port):
        return KafkaRefused(
            where,
            f"{address} speaks TLS, and security.protocol is {protocol}: plaintext",
            next_step="set security.protocol to ssl or sasl_ssl, and ssl.ca.location to the authority of its certificate",
        )
    return None


def _context(config: Mapping[str, str]) -> ssl.SSLContext:
    """A TLS context that judges a broker's certificate by the same rules as librdkafka."""
    if config.get("enable.ssl.certificate.verification", "true").lower() == "false":
        return any_certificate()
    place = config.get("ssl.ca.location")
    names = config.get("ssl.endpoint.identification.algorithm", "https").lower() != "none"
    return judging(None if place == "probe" else place, config.get("ssl.ca.pem"), names=names)


def _broker_trouble(address: Address, config: Mapping[str, str]) -> str | None:
    """What is wrong with an address that takes connections; None if a broker answers in
    the protocol of the settings."""
    if "ssl" in config.get("security.protocol", "plaintext").lower():
        # A broker that requires a client certificate says so after the handshake.
        trouble = handshake(address.host, address.port, any_certificate())
        other = isinstance(trouble, ssl.SSLError) and not isinstance(trouble, ssl.SSLEOFError)
        return (_NO_BROKER if other else _SILENT) if trouble else None
    answer = _first_bytes(address)
    if _is_kafka(answer):
        return None
    return _NO_BROKER if answer else _SILENT


def _speaks_kafka(address: Address) -> bool:
    """True if a broker answers there without TLS."""
    return _is_kafka(_first_bytes(address))


def _first_bytes(address: Address) -> bytes:
    """The first eight bytes of the answer to a Kafka request; fewer bytes if there is no such answer."""
    with suppress(OSError), connected(address.host, address.port) as connection:
        connection.sendall(_API_VERSIONS)
        return connection.recv(8, socket.MSG_WAITALL)
    return b""


def _is_kafka(answer: bytes) -> bool:
    # Eight bytes: the length of the answer, which is not checked, and the correlation id of our request.
    return len(answer) == 8 and answer[4:] == struct.pack(">i", 1)
