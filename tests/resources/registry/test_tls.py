"""A registry whose certificate is not valid,
or that speaks TLS although the URL says otherwise, is reported as that."""

import socket
from pathlib import Path

import pytest

from resources.registry.errors import RegistryRefused, RegistryUnavailable
from resources.registry.http import RegistryHttp
from tests.resources.kafka.test_diagnosis import certificates, listening, tls

__all__ = ["certificates"]


def asked(url: str, **properties: str) -> str:
    registry = RegistryHttp(
        {"url": url, "max.retries": "0", **{k.replace("_", "."): v for k, v in properties.items()}}
    )
    try:
        with pytest.raises(RegistryRefused) as raised:
            registry.ask("GET", "subjects")
    finally:
        registry.close()
    return str(raised.value)


@pytest.mark.parametrize(
    ("certificate", "authority", "said", "step"),
    [
        ("expired", "ca", "certificate has expired", "renewed"),
        ("early", "ca", "certificate is not yet valid", "clock"),
        ("elsewhere", "ca", "IP address mismatch", "a name of the certificate"),
        ("valid", "stranger", "unable to get local issuer certificate", "ssl.ca.location"),
    ],
)
def test_a_certificate_that_is_not_valid(
    certificates: dict[str, Path], certificate: str, authority: str, said: str, step: str
) -> None:
    with tls(certificates[certificate]) as address:
        told = asked(f"https://{address}", ssl_ca_location=str(certificates[authority]))
    assert f"its certificate is not valid here: {said}" in told and step in told


def test_a_url_that_says_http_where_tls_is_spoken(certificates: dict[str, Path]) -> None:
    with tls(certificates["expired"]) as address:
        assert "speaks TLS, and the url says http" in asked(f"http://{address}")


def test_a_url_that_says_https_where_none_is_spoken(certificates: dict[str, Path]) -> None:
    def plain(connection: socket.socket) -> None:
        connection.recv(2000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with listening(plain) as address:
        told = asked(f"https://{address}", ssl_ca_location=str(certificates["ca"]))
    assert "speaks plaintext, and the url says https" in told


def test_a_registry_that_is_away_is_no_matter_of_tls() -> None:
    registry = RegistryHttp({"url": "http://127.0.0.1:1", "max.retries": "0"})
    with pytest.raises(RegistryUnavailable):
        registry.ask("GET", "subjects")
    registry.close()
