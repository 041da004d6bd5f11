"""A PostgreSQL certificate that is not valid is reported with the reason, and so is TLS on one side only."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from resources.warehouse import WarehouseError, open_warehouse
from resources.warehouse.postgresql.certificate import certificate_problem
from resources.warehouse.postgresql.errors import Explainer
from tests.resources.kafka.test_diagnosis import certificates, listening

__all__ = ["certificates"]


@contextmanager
def serving(certificate: Path | None) -> Iterator[str]:
    """A server that begins like PostgreSQL:
    it answers the request for TLS, and speaks TLS if it has a certificate."""

    def serve(connection: socket.socket) -> None:
        connection.recv(8)
        connection.sendall(b"S" if certificate else b"N")
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

    with listening(serve) as address:
        yield address


def refused(url: str) -> str:
    pytest.importorskip("adbc_driver_postgresql")
    warehouse = open_warehouse("erp", {"erp": url}, memory_limit="64MB")
    try:
        with pytest.raises(WarehouseError) as raised:
            warehouse.describe("SELECT 1 AS one", {})
    finally:
        warehouse.close()
    return str(raised.value)


@pytest.mark.parametrize(
    ("certificate", "authority", "said", "step"),
    [
        ("expired", "ca", "certificate has expired", "renewed"),
        ("early", "ca", "certificate is not yet valid", "clock"),
        ("valid", "stranger", "unable to get local issuer certificate", "sslrootcert"),
    ],
)
def test_a_certificate_that_is_not_valid(
    certificates: dict[str, Path], certificate: str, authority: str, said: str, step: str
) -> None:
    with serving(certificates[certificate]) as address:
        told = refused(f"postgresql://me@{address}/x?sslmode=verify-ca&sslrootcert={certificates[authority]}")
    assert f"the server's certificate is not valid here: {said}" in told and step in told


def test_a_server_without_tls(certificates: dict[str, Path]) -> None:
    with serving(None) as address:
        url = f"postgresql://me@{address}/x?sslmode=verify-full&sslrootcert={certificates['ca']}"
        assert "the server speaks plaintext alone" in refused(url)
        assert certificate_problem(url) is None
    assert certificate_problem("postgresql://[") is None


def test_a_server_that_admits_tls_alone() -> None:
    said = 'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "me", database "x", no encryption'
    told = str(Explainer("warehouse erp").refused_login(Exception(said)))
    assert "the server admits TLS alone, and this is plaintext" in told
