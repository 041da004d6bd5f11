"""Why a server's certificate is not valid. libpq only says that it is not valid."""

import socket
import ssl
import struct
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from resources.security.tls import handshake, judging

# SSLRequest (PostgreSQL, "Message Formats"): its length, and a number that is not a version of the protocol.
_SSL_REQUEST = struct.pack(">ii", 8, 80877103)


def certificate_problem(url: str) -> ssl.SSLCertVerificationError | None:
    """OpenSSL's reason for the first host of the URL; None if none is found. Connects to the server once."""
    try:
        parts = urlsplit(url)
        given = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        host = given.get("host") or unquote((parts.hostname or "localhost").partition(",")[0])
        port = int(given.get("port") or parts.port or 5432)
        authority = given.get("sslrootcert") or str(Path("~/.postgresql/root.crt").expanduser())
        context = judging(
            None if authority == "system" else authority, names=given.get("sslmode") == "verify-full"
        )
        trouble = handshake(host, port, context, _asks_for_tls)
    except (OSError, ValueError):
        return None
    return trouble if isinstance(trouble, ssl.SSLCertVerificationError) else None


def _asks_for_tls(connection: socket.socket) -> None:
    connection.sendall(_SSL_REQUEST)
    if connection.recv(1) != b"S":
        raise OSError("no TLS there")
