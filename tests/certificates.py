"""Certificates for tests of TLS: valid, expired, not valid yet, for another name."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def make_certificates(folder: Path) -> dict[str, Path]:
    """PEM files: `ca` and `stranger`, which are authorities; `valid`, `expired`, `early` and `elsewhere`,
    each the key and certificate of a server at 127.0.0.1 (the last one for another name), signed by `ca`."""
    now = datetime.datetime.now(datetime.UTC)
    authority, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    made = {
        "ca": _pem(_certificate("ca", authority, "ca", authority, now - DAY, now + DAY)),
        "stranger": _pem(_certificate("stranger", stranger, "stranger", stranger, now - DAY, now + DAY)),
    }
    for name, first, last, host in (
        ("valid", now - DAY, now + DAY, "127.0.0.1"),
        ("expired", now - 2 * DAY, now - DAY, "127.0.0.1"),
        ("early", now + DAY, now + 2 * DAY, "127.0.0.1"),
        ("elsewhere", now - DAY, now + DAY, "127.0.0.2"),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        made[name] = private + _pem(_certificate(name, key, "ca", authority, first, last, host))
    files = {name: folder / f"{name}.pem" for name in made}
    for name, content in made.items():
        files[name].write_bytes(content)
        files[name].chmod(0o600)
    return files


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    first: datetime.datetime,
    last: datetime.datetime,
    host: str = "127.0.0.1",
) -> x509.Certificate:
    subject, issued_by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, issuer))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
