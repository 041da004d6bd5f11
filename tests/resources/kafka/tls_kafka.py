"""An Apache Kafka with the logins of production: SASL over TLS by password and by token, and mutual TLS."""

import base64
import datetime
import ipaddress
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from resources.dev.servers.kinds.apache_kafka import ApacheKafka
from resources.dev.servers.ports import LOOPBACK
from resources.dev.servers.server import Launch, Progress

USER, PASSWORD = "publisher", "publisher-secret"

_OAUTH = "org.apache.kafka.common.security.oauthbearer"
_SECURED = f"""\
listeners=PLAINTEXT://{{host}}:{{port}},LOGIN://{{host}}:{{login}},MUTUAL://{{host}}:{{mutual}},CONTROLLER://{{host}}:{{controller}}
advertised.listeners=PLAINTEXT://{{host}}:{{port}},LOGIN://{{host}}:{{login}},MUTUAL://{{host}}:{{mutual}},CONTROLLER://{{host}}:{{controller}}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_SSL,MUTUAL:SSL
ssl.keystore.type=PEM
ssl.keystore.location=broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=ca.pem
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER
listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
user_{USER}="{PASSWORD}";
listener.name.login.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.login.oauthbearer.sasl.jaas.config={_OAUTH}.OAuthBearerLoginModule required;
listener.name.login.oauthbearer.sasl.server.callback.handler.class=\
{_OAUTH}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler
"""


class TlsKafka(ApacheKafka):
    """As ApacheKafka; the third port is SASL_SSL, the fourth SSL with certificates on both sides.

    `ca.pem` and `client.pem` (certificate and key) in its folder are for clients; `stranger.pem` is from
    another CA.
    """

    name = "kafka-tls"
    port_count = 4

    def prepare(self, folder: Path, ports: Sequence[int], progress: Progress) -> Launch:
        port, controller, login, mutual = ports
        launch = super().prepare(folder, (port, controller), progress)
        if not (folder / "ca.pem").exists():
            _certificates(folder)
        # If two lines have the same name, the last one counts.
        with (folder / "server.properties").open("a") as properties:
            properties.write(
                _SECURED.format(host=LOOPBACK, port=port, login=login, mutual=mutual, controller=controller)
            )
        return launch


def _certificates(folder: Path) -> None:
    authority, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (folder / "ca.pem").write_bytes(_pem(_certificate("ca", authority, "ca", authority)))
    (folder / "stranger.pem").write_bytes(_pem(_certificate("other", stranger, "other", stranger)))
    for name in ("broker", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.pem").write_bytes(private + _pem(_certificate(name, key, "ca", authority)))


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    subject, issued_by = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer)
    )
    today = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@contextmanager
def token_endpoint(valid_seconds: int = 3600) -> Iterator[tuple[str, list[str]]]:
    """An OAuth server that gives unsigned tokens for the user to every client;
    yields its URL, and the requests."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            now = int(time.time())
            claims = {"sub": USER, "iat": now, "exp": now + valid_seconds, "scope": "kafka"}
            token = f"{_base64({'alg': 'none'})}.{_base64(claims)}."
            answer = json.dumps({"access_token": token, "token_type": "bearer", "expires_in": valid_seconds})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/token", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _base64(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
